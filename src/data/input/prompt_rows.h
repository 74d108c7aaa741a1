// Ready prompts: rows of {instruction, input, output} or {prompt, output}, with options where the row lists them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/prompts/template.h"

namespace allreco::data {

enum class RowFate { usable, malformed, empty_prompt, empty_output, empty_option, duplicate_option };

struct ParsedRow {
  PromptRow text;
  std::vector<std::string> options;       // as listed; empty: none
  std::optional<std::uint8_t> gold;       // index of the right option; set when there are options
  std::optional<std::uint64_t> user;      // a hash, as reviews have it
  std::optional<std::int64_t> timestamp;  // seconds since 1970
  RowFate fate = RowFate::usable;
  std::string problem;  // with malformed
};

/// A `prompt` becomes the instruction of a row without input. Null and blank texts are empty. The right option must
/// equal the output, as candidates are scored as answers. `user` is a text or a whole number, 7 being "7"; `timestamp`
/// whole seconds, or from 1e11 on milliseconds, cut to seconds.
ParsedRow parse_prompt_row(const core::Json& row);

/// The names of a row's fields that are none of those that prepare reads.
std::vector<std::string> unread_fields(const core::Json& row);

/// Gives a row the options that its text shows. False, and the row stays without, unless there are 2 to 254 different
/// ones, none blank, with the output among them.
bool choose_options(ParsedRow& row, std::vector<std::string> options);

}  // namespace allreco::data
