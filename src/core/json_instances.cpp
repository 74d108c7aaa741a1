// The templates that core/json.h says are generated elsewhere.
#include "core/json.h"

template class nlohmann::basic_json<nlohmann::ordered_map>;
namespace nlohmann::detail {
template class lexer<ordered_json, TextIterator>;
template class parser<ordered_json, TextIterator>;
template class json_sax_dom_parser<ordered_json>;
template class json_sax_dom_callback_parser<ordered_json>;
template class serializer<ordered_json>;
}  // namespace nlohmann::detail
