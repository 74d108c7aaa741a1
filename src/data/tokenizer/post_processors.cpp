#include "data/tokenizer/post_processors.h"

#include "core/check.h"

namespace allreco::data {

namespace {

constexpr const char* kSupportedPostProcessors = "TemplateProcessing, ByteLevel, Sequence";

void append_special(const Fields& piece, const Fields& specials, std::int64_t vocab_size, const std::string& where,
                    std::vector<TokenId>& ids) {
  const std::string name = text_field(piece, "id", where);
  const Fields& list = field(field(specials, name.c_str(), where), "ids", where);
  if (!list.is_array()) core::user_error("{}: the ids of \"{}\" must be a list", where, name);
  for (const Fields& id : list) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= static_cast<std::uint64_t>(vocab_size))
      core::user_error("{}: \"{}\" has the id {}, which is not in the vocabulary", where, name, id.dump());
    ids.push_back(id.get<TokenId>());
  }
}

Surroundings read_template(const Fields& fields, std::int64_t vocab_size, const std::string& where) {
  Surroundings result;
  int num_texts = 0;
  for (const Fields& piece : list_field(fields, "single", 0, where)) {
    if (piece.is_object() && piece.contains("Sequence")) {
      if (text_field(piece.at("Sequence"), "id", where) != "A")
        core::user_error("{}: \"single\" names another text than A", where);
      ++num_texts;
      continue;
    }
    append_special(field(piece, "SpecialToken", where), field(fields, "special_tokens", where), vocab_size, where,
                   num_texts == 0 ? result.before : result.after);
  }
  if (num_texts != 1) core::user_error("{}: \"single\" must hold the text A once, not {} times", where, num_texts);
  return result;
}

}  // namespace

Surroundings read_post_processor(const Fields& fields, std::int64_t vocab_size, const std::string& where, int depth) {
  if (fields.is_null()) return {};
  const std::string type = text_field(fields, "type", where);
  if (type == "ByteLevel") return {};  // it moves offsets only
  if (type == "TemplateProcessing") return read_template(fields, vocab_size, where);
  if (type != "Sequence") refuse_type(type, kSupportedPostProcessors, where);
  Surroundings result;
  for (const Fields& step : list_field(fields, "processors", depth, where)) {
    const Surroundings outer = read_post_processor(step, vocab_size, where, depth + 1);
    result.before.insert(result.before.begin(), outer.before.begin(), outer.before.end());
    result.after.insert(result.after.end(), outer.after.begin(), outer.after.end());
  }
  return result;
}

}  // namespace allreco::data
