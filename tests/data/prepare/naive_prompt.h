// An independent account of the prompt that a template makes of a history: text pieces and control tokens, from the
// template's JSON alone. The oracle of the promises that every example keeps.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "data/tokenizer/tokenizer.h"

namespace allreco::data {

using NaiveValues = std::map<std::string, std::string>;

/// `{name}` becomes values[name] where there is such a value; everything else stays as it is.
inline std::string naive_fill(const std::string& format, const NaiveValues& values) {
  std::string text;
  for (size_t at = 0; at < format.size();) {
    const size_t end = format[at] == '{' ? format.find('}', at) : std::string::npos;
    const auto value = end == std::string::npos ? values.end() : values.find(format.substr(at + 1, end - at - 1));
    if (value == values.end()) {
      text += format[at++];
    } else {
      text += value->second;
      at = end + 1;
    }
  }
  return text;
}

/// Items of a history or a list of options, as text: `label` A, B, ... beside what `items` say.
inline std::string naive_list(const std::vector<NaiveValues>& items, const std::string& format,
                              const std::string& separator) {
  std::string text;
  for (size_t i = 0; i < items.size(); ++i) {
    NaiveValues values = items[i];
    values["label"] = std::string(1, static_cast<char>('A' + i));
    text += (i > 0 ? separator : "") + naive_fill(format, values);
  }
  return text;
}

struct NaivePrompt {
  std::string instruction, input;
};

inline NaivePrompt naive_prompt(const core::Json& json, const std::vector<NaiveValues>& history,
                                const std::vector<NaiveValues>& options, size_t phrasing) {
  const NaiveValues lists = {
      {"history", naive_list(history, json.value("history_item", "{title}"), json.value("history_separator", ", "))},
      {"options",
       naive_list(options, json.value("option_item", "{label}) {title}"), json.value("option_separator", ", "))}};
  const core::Json& instruction = json["instruction"];
  return {naive_fill(instruction.is_array() ? instruction[phrasing] : instruction, lists),
          naive_fill(json.value("input", ""), lists)};
}

/// The ids before the answer. Control tokens are those that the template itself writes; the text between two of them is
/// encoded alone.
inline std::vector<TokenId> naive_prompt_ids(const core::Json& json, const NaivePrompt& prompt,
                                             const Tokenizer& tokenizer, bool add_bos) {
  const std::string format = json[prompt.input.empty() ? "prompt_without_input" : "prompt"];
  const auto controls = json.value("control_tokens", std::vector<std::string>{});
  std::vector<TokenId> ids;
  if (add_bos && tokenizer.bos_id() >= 0) ids.push_back(tokenizer.bos_id());
  std::string text;
  bool is_first = true;
  const auto end_text = [&] {
    if (!text.empty()) {
      const auto more = is_first ? tokenizer.encode(text) : tokenizer.encode_continued(text);
      ids.insert(ids.end(), more.begin(), more.end());
      is_first = false;
    }
    text.clear();
  };
  for (size_t at = 0; at < format.size();) {
    const std::string rest = format.substr(at);
    std::string control;
    for (const std::string& token : controls) {
      if (rest.starts_with(token) && token.size() > control.size()) control = token;
    }
    if (!control.empty()) {
      end_text();
      ids.push_back(tokenizer.control_token(control).value());
      is_first = false;
      at += control.size();
    } else if (rest.starts_with("{instruction}")) {
      text += prompt.instruction;
      at += std::string("{instruction}").size();
    } else if (rest.starts_with("{input}")) {
      text += prompt.input;
      at += std::string("{input}").size();
    } else {
      text += format[at++];
    }
  }
  end_text();
  return ids;
}

}  // namespace allreco::data
