// What the audit keeps in memory of a dataset: options as texts, answers and prompts as words.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "audit/document.h"
#include "audit/words.h"
#include "data/store/dataset.h"

namespace allreco::audit {

/// An option's text, once for all lists that show it.
struct OptionText {
  std::string text;
  Words words;
  std::int64_t num_tokens = 0;
};

struct AuditExample {
  std::optional<std::uint64_t> user = {};
  std::optional<std::int64_t> timestamp = {};
  std::vector<std::uint32_t> options = {};  // indices of AuditData::texts, in the order shown; empty: none
  std::size_t gold = 0;                     // the right one's place in `options`
  std::uint32_t answer = 0;                 // index of AuditData::answers
  Words outside = {};                       // the prompt's words but for those of its options
  std::uint64_t prompt_key = 0;             // equal for equal tokens
  std::uint64_t whole_key = 0;
};

struct AuditSplit {
  std::string name;
  std::int64_t size = 0;  // of the split; the examples are spread evenly over it
  std::vector<AuditExample> examples = {};
};

struct AuditData {
  std::vector<AuditSplit> splits = {};  // train, validation, test: those that have examples
  std::vector<OptionText> texts = {};
  std::vector<std::string> answers = {};
  std::vector<Words> answer_words = {};
  std::vector<bool> is_frame =
      {};  // by word: of the template, not of an example (more than half of all prompts have it)
  std::string options_from = "nothing";
  std::int64_t num_answer_not_in_options = 0;

  /// The words of an example's prompt that are neither options nor frame: its history.
  Words history_of(const AuditExample& example) const;
  const AuditSplit* split(const std::string& name) const;
};

struct ReadOptions {
  std::string option_pattern;
  std::int64_t max_examples = 0;  // of a split; 0: all
};

AuditData read_audit_data(const data::DatasetInfo& info, const ReadOptions& options);

/// Sets is_frame from the examples.
void find_frame(AuditData& data);

}  // namespace allreco::audit
