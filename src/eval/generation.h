// Greedy generation of answers and their exact match: the published study's measure.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/store/dataset.h"
#include "data/tokenizer/tokenizer.h"
#include "dist/session.h"
#include "eval/eval_example.h"
#include "model/decoder/decoder.h"

namespace allreco::eval {

struct GenerationOptions {
  std::int64_t max_new_tokens = 0;           // 0: see plan_generation
  std::int64_t max_batch_examples = 8;       // prompts that are continued together
  std::int64_t max_tokens_per_batch = 4096;  // of their prompts and answers; a longer one goes alone
};

/// How many tokens each answer may get.
struct GenerationPlan {
  std::int64_t max_new_tokens = 0;        // asked for, or the longest right answer and some tokens more
  std::int64_t longest_answer = 0;        // tokens, with the EOS
  std::vector<std::int64_t> limits = {};  // per example: max_new_tokens, or less where the model's context ends before
  std::int64_t num_cut_by_context = 0;    // limits below max_new_tokens
  std::int64_t num_out_of_reach = 0;      // right answers that are longer than their limit
};

/// UserError for an empty prompt, and for one that fills the model's context (max_position_embeddings).
GenerationPlan plan_generation(const data::Dataset& dataset, std::span<const EvalExample> examples,
                               const GenerationOptions& options, std::int64_t max_position_embeddings);

/// Collective: the greedy continuation of every example's prompt up to its limit, without the EOS, in order, on every
/// rank; the same for every world size.
std::vector<std::vector<data::TokenId>> generate_answers(dist::Session& session, model::Decoder& decoder,
                                                         const data::Dataset& dataset,
                                                         std::span<const EvalExample> examples,
                                                         const GenerationOptions& options, const GenerationPlan& plan,
                                                         const std::vector<std::int64_t>& eos);

/// Text without white space at its ends.
std::string strip(const std::string& text);

/// Ids as text; ids that the tokenizer does not have (a model's vocabulary may be larger) show as <id>.
std::string decode_any(const data::Tokenizer& tokenizer, const std::vector<data::TokenId>& ids);

/// Whether a generated answer is the right one. With a tokenizer: equal texts after strip(). Without: equal ids; an
/// answer that no EOS ends says nothing about what follows it, so then only its own length is compared.
bool is_exact_match(const EvalExample& example, const std::vector<data::TokenId>& generated,
                    const data::Tokenizer* tokenizer);

}  // namespace allreco::eval
