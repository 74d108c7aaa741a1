#include "data/prompts/template_rendering.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <utility>

#include "core/check.h"
#include "data/prompts/template_parts.h"

namespace allreco::data {

namespace {

constexpr size_t kNumLetters = 26;

/// The longest of `tokens` that stands at text[at]; empty: none.
std::string_view control_token_at(std::string_view text, size_t at, const std::vector<std::string>& tokens) {
  std::string_view longest;
  for (const std::string& token : tokens) {
    if (token.size() > longest.size() && text.substr(at).starts_with(token)) longest = token;
  }
  return longest;
}

/// fill_in, cut at control tokens of `text` itself.
std::vector<PromptPart> fill_in_parts(std::string_view text, const std::vector<std::string>& control_tokens,
                                      const std::function<std::string_view(std::string_view)>& value_of) {
  std::vector<PromptPart> parts;
  const auto append = [&](std::string_view more) {
    if (parts.empty() || parts.back().is_control) parts.push_back({});
    parts.back().text += more;
  };
  for (size_t i = 0; i < text.size();) {
    const std::string_view part = text[i] == '{' ? part_at(text, i) : std::string_view();
    const std::string_view control = control_token_at(text, i, control_tokens);
    if (!control.empty()) {
      parts.push_back({std::string(control), true});
      i += control.size();
    } else if (!part.empty()) {
      append(value_of(part));
      i += part.size() + 2;
    } else {
      append(text.substr(i++, 1));
    }
  }
  std::erase_if(parts, [](const PromptPart& p) { return p.text.empty(); });
  return parts;
}

std::string_view prompt_text(const PromptTemplate& t, bool has_input) {
  return has_input ? t.prompt : t.prompt_without_input;
}

std::string_view or_missing(const PromptTemplate& t, std::string_view text) { return text.empty() ? t.missing : text; }

/// An item with its details; `label` is empty in a history.
std::string render_item(const PromptTemplate& t, const std::string& format, const ItemText& item,
                        const std::string& label) {
  const std::string band = price_band(item.price);
  return fill_in(format, [&](std::string_view part) -> std::string_view {
    if (part == "label") return label;
    if (part == "title") return item.title;
    return or_missing(t, part == "brand" ? item.brand : part == "category" ? item.category : std::string_view(band));
  });
}

/// Without the lines that are {history} alone: an empty history leaves no empty line.
std::string without_history_lines(std::string_view text) {
  std::string kept;
  bool is_first = true;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line == "{history}") continue;
    if (!std::exchange(is_first, false)) kept += '\n';
    kept += line;
  }
  return kept;
}

}  // namespace

std::string label_of(const PromptTemplate& t, size_t index) {
  if (t.option_labels == "numbers") return std::to_string(index + 1);
  core::require(index < kNumLetters, "more options than letters");
  return std::string(1, static_cast<char>('A' + index));
}

std::string price_band(std::string_view price) {
  constexpr std::array<int, 7> kBounds{10, 25, 50, 100, 250, 500, 1000};
  double value = 0;
  const auto [end, error] = std::from_chars(price.data(), price.data() + price.size(), value);
  if (error != std::errc{} || end != price.data() + price.size()) return "";
  const auto above = std::upper_bound(kBounds.begin(), kBounds.end(), value);
  if (above == kBounds.begin()) return fmt::format("below {}", kBounds.front());
  if (above == kBounds.end()) return fmt::format("{} or more", kBounds.back());
  return fmt::format("{} to {}", *(above - 1), *above);
}

PromptRow render_history(const PromptTemplate& t, std::span<const ItemText> history, std::span<const ItemText> options,
                         size_t phrasing) {
  core::require(phrasing < t.num_phrasings(), "a template has the phrasing that is asked for");
  std::string history_text;
  for (size_t i = 0; i < history.size(); ++i)
    history_text += (i > 0 ? t.history_separator : "") + render_item(t, t.history_item, history[i], "");
  std::string options_text;
  for (size_t i = 0; i < options.size(); ++i)
    options_text += (i > 0 ? t.option_separator : "") + render_item(t, t.option_item, options[i], label_of(t, i));
  const auto value_of = [&](std::string_view part) -> std::string_view {
    return part == "history" ? history_text : options_text;
  };
  const std::string& instruction = phrasing == 0 ? t.instruction : t.other_instructions[phrasing - 1];
  const auto filled = [&](const std::string& field) {
    return history.empty() ? fill_in(without_history_lines(field), value_of) : fill_in(field, value_of);
  };
  return {filled(instruction), filled(t.input), ""};
}

PromptRow render_history(const PromptTemplate& t, std::span<const std::string_view> history,
                         std::span<const std::string_view> options) {
  const auto items = [](std::span<const std::string_view> titles) {
    std::vector<ItemText> texts;
    for (const std::string_view title : titles) texts.push_back({title, {}, {}, {}});
    return texts;
  };
  return render_history(t, items(history), items(options));
}

std::vector<PromptPart> render_prompt_parts(const PromptTemplate& t, const PromptRow& row) {
  return fill_in_parts(
      prompt_text(t, !row.input.empty()), t.control_tokens,
      [&](std::string_view part) -> std::string_view { return part == "input" ? row.input : row.instruction; });
}

std::vector<PromptPart> prompt_head(const PromptTemplate& t, const PromptRow& row, bool with_instruction) {
  const std::string_view text = prompt_text(t, !row.input.empty());
  const size_t end = text.find(with_instruction && !row.input.empty() ? "{input}" : "{in");
  return fill_in_parts(text.substr(0, end), t.control_tokens, [&](std::string_view part) -> std::string_view {
    return part == "input" ? row.input : row.instruction;
  });
}

std::vector<PromptPart> prompt_tail(const PromptTemplate& t, bool has_input) {
  const std::string_view text = prompt_text(t, has_input);
  const size_t last = text.rfind("{in");  // {instruction} or {input}: both are there where they must be
  return fill_in_parts(text.substr(text.find('}', last) + 1), t.control_tokens,
                       [](std::string_view part) { return part; });
}

std::string render_prompt(const PromptTemplate& t, const PromptRow& row) {
  return fill_in(row.input.empty() ? t.prompt_without_input : t.prompt, [&](std::string_view part) -> std::string_view {
    return part == "input" ? row.input : row.instruction;
  });
}

std::string render_output(const PromptTemplate& t, std::string_view output) {
  return fill_in(t.output, [&](std::string_view) { return output; });
}

}  // namespace allreco::data
