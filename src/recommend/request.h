// What somebody asks: a history, and how many items. As a line of JSON, or as plain text.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/check.h"
#include "core/json.h"
#include "recommend/item_index.h"

namespace allreco::recommend {

inline constexpr std::size_t kLongestRequest = 64 << 10;  // bytes
inline constexpr std::size_t kMostHistoryItems = 1000;
inline constexpr std::int64_t kMostRecommendations = 1000;

/// An id, or a text for ItemIndex::find.
using ItemName = std::variant<std::int64_t, std::string>;

struct Request {
  std::vector<ItemName> history;  // oldest first
  std::int64_t k = 10;
  bool exclude_history = true;  // items of the history are not recommended
  core::Json id;                // given back with the answer; null: none
};

/// A request that cannot be answered, and what to say of it.
class RequestError : public core::UserError {
 public:
  enum class Kind { malformed, too_long, unknown_item };
  RequestError(Kind kind, const std::string& message, core::Json details = core::Json::object())
      : UserError(message), kind_(kind), details_(std::move(details)) {}
  Kind kind() const { return kind_; }
  /// More members of the answer.
  const core::Json& details() const { return details_; }

 private:
  Kind kind_;
  core::Json details_;
};

/// {"history": [...], "k": 5, "exclude_history": true, "id": ...}; all but history may be missing and are then as in
/// `defaults`. RequestError when it is no such text, has an unknown member, or more than kLongestRequest bytes; its
/// details hold the id where that could be read.
Request parse_request(std::string_view text, const Request& defaults);

/// Items separated by |; or, where no item is called like the whole text and it has no |, by commas. RequestError when
/// there is none, or more than may be.
Request parse_plain_request(std::string_view text, const Request& defaults, const ItemIndex& index);

/// Either of them: JSON begins with a brace.
Request parse_line(std::string_view line, const Request& defaults, const ItemIndex& index);

}  // namespace allreco::recommend
