#include "eval/generation.h"

#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "eval/chunks.h"

namespace allreco::eval {

namespace {

constexpr std::int64_t kMarginTokens = 8;  // beyond the longest right answer: a longer one is wrong anyway

using Tokens = std::vector<data::TokenId>;

/// The generated ids of one rank as bytes: (example, count, ids...) as int64, again and again.
class AnswerBytes {
 public:
  void append(std::size_t example, const Tokens& ids) {
    put(static_cast<std::int64_t>(example));
    put(std::ssize(ids));
    for (data::TokenId id : ids) put(id);
  }
  const std::string& bytes() const { return bytes_; }

  static void read_into(const std::string& bytes, std::vector<Tokens>& answers) {
    for (std::size_t at = 0; at < bytes.size();) {
      auto& ids = answers.at(static_cast<std::size_t>(get(bytes, at)));
      for (std::int64_t left = get(bytes, at); left > 0; --left)
        ids.push_back(static_cast<data::TokenId>(get(bytes, at)));
    }
  }

 private:
  void put(std::int64_t value) {
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    bytes_.append(raw, sizeof value);
  }
  static std::int64_t get(const std::string& bytes, std::size_t& at) {
    std::int64_t value = 0;
    core::require(at + sizeof value <= bytes.size(), "another rank's answers arrived incomplete");
    std::memcpy(&value, bytes.data() + at, sizeof value);
    at += sizeof value;
    return value;
  }

  std::string bytes_;
};

std::vector<Tokens> prompts_of(const data::Dataset& dataset, std::span<const EvalExample> examples) {
  std::vector<Tokens> prompts;
  for (const EvalExample& example : examples) prompts.push_back(dataset.prompt(example.index));
  return prompts;
}

}  // namespace

GenerationPlan plan_generation(const data::Dataset& dataset, std::span<const EvalExample> examples,
                               const GenerationOptions& options, std::int64_t max_position_embeddings) {
  GenerationPlan plan;
  for (const EvalExample& example : examples)
    plan.longest_answer = std::max(plan.longest_answer, dataset.num_supervised(example.index));
  plan.max_new_tokens = options.max_new_tokens > 0 ? options.max_new_tokens : plan.longest_answer + kMarginTokens;
  for (const EvalExample& example : examples) {
    const std::int64_t prompt_length = dataset.prompt_length(example.index);
    if (prompt_length < 1)
      core::user_error("example {} has an empty prompt: there is nothing to generate from; use --generate false",
                       example.index);
    if (prompt_length >= max_position_embeddings)
      core::user_error(
          "the prompt of example {} has {} tokens and fills the model's context of {} (max_position_embeddings): "
          "prepare with a smaller max_length, or use --generate false",
          example.index, prompt_length, max_position_embeddings);
    plan.limits.push_back(std::min(plan.max_new_tokens, max_position_embeddings - prompt_length));
    plan.num_cut_by_context += plan.limits.back() < plan.max_new_tokens;
    plan.num_out_of_reach += plan.limits.back() < std::ssize(example.answer);
  }
  return plan;
}

std::vector<Tokens> generate_answers(dist::Session& session, model::Decoder& decoder, const data::Dataset& dataset,
                                     std::span<const EvalExample> examples, const GenerationOptions& options,
                                     const GenerationPlan& plan, const std::vector<std::int64_t>& eos) {
  const auto chunks = cut_into_chunks(std::ssize(examples), options.max_tokens_per_batch, options.max_batch_examples,
                                      [&](std::int64_t i) {
                                        const auto s = static_cast<std::size_t>(i);
                                        return dataset.prompt_length(examples[s].index) + plan.limits[s];
                                      });
  AnswerBytes mine;
  for_each_chunk(session, chunks, "generation", [&](std::size_t, const Chunk& chunk) {
    const auto begin = static_cast<std::size_t>(chunk.begin);
    const auto count = static_cast<std::size_t>(chunk.end - chunk.begin);
    const auto limits = std::span(plan.limits).subspan(begin, count);
    auto answers = decoder.generate_greedy(prompts_of(dataset, examples.subspan(begin, count)),
                                           *std::max_element(limits.begin(), limits.end()), eos);
    for (std::size_t i = 0; i < count; ++i) {
      answers[i].resize(std::min(answers[i].size(), static_cast<std::size_t>(limits[i])));
      mine.append(begin + i, answers[i]);
    }
  });
  std::vector<Tokens> answers(examples.size());
  for (const std::string& bytes : session.all_gather(mine.bytes())) AnswerBytes::read_into(bytes, answers);
  return answers;
}

std::string strip(const std::string& text) {
  constexpr const char* kWhiteSpace = " \t\n\v\f\r";
  const auto begin = text.find_first_not_of(kWhiteSpace);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(kWhiteSpace) + 1 - begin);
}

std::string decode_any(const data::Tokenizer& tokenizer, const Tokens& ids) {
  std::string text;
  Tokens known;
  const auto flush = [&] {
    if (!known.empty()) text += tokenizer.decode(known);
    known.clear();
  };
  for (data::TokenId id : ids) {
    if (id < tokenizer.vocab_size()) {
      known.push_back(id);
      continue;
    }
    flush();
    text += fmt::format("<{}>", id);
  }
  flush();
  return text;
}

bool is_exact_match(const EvalExample& example, const Tokens& generated, const data::Tokenizer* tokenizer) {
  if (tokenizer) return strip(decode_any(*tokenizer, generated)) == strip(decode_any(*tokenizer, example.answer));
  if (example.eos) return generated == example.answer;
  return generated.size() >= example.answer.size() &&
         std::equal(example.answer.begin(), example.answer.end(), generated.begin());
}

}  // namespace allreco::eval
