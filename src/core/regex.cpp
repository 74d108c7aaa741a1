#include "core/regex.h"

#include <array>
#include <cstdint>

#include "core/check.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace allreco::core {

namespace {

constexpr size_t kMaxPatternBytes = size_t{64} * 1024;
constexpr std::uint32_t kMaxNesting = 250;
// Backtracking steps, levels and KiB of one match; PCRE2's own default of the first two is 10,000,000.
constexpr std::uint32_t kMatchLimit = 1'000'000, kDepthLimit = 100'000, kHeapLimitKib = 64 * 1024;

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_compile_context* p) const { pcre2_compile_context_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

}  // namespace

struct Regex::Code {
  Owned<pcre2_code> code;
  Owned<pcre2_match_context> limits;
};

Regex::Regex(std::string where, std::string_view pattern, bool multiline)
    : where_(std::move(where)), code_(std::make_unique<Code>()) {
  if (pattern.size() > kMaxPatternBytes) {
    user_error("{}: a regular expression of {} bytes; at most {} are allowed", where_, pattern.size(),
               kMaxPatternBytes);
  }
  const Owned<pcre2_compile_context> context(pcre2_compile_context_create(nullptr));
  pcre2_set_parens_nest_limit(context.get(), kMaxNesting);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);  // whatever the library was built for
  int error = 0;
  PCRE2_SIZE offset = 0;
  // NEVER_BACKSLASH_C: it would match half a character.
  constexpr std::uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
  code_->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                  kOptions | (multiline ? PCRE2_MULTILINE : 0), &error, &offset, context.get()));
  if (!code_->code) {
    user_error("{}: not a regular expression that is supported here: {} at byte {}", where_, message_of(error), offset);
  }
  // Without JIT (or where the system forbids it) the interpreter does the same, more slowly.
  pcre2_jit_compile(code_->code.get(), PCRE2_JIT_COMPLETE);
  code_->limits.reset(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(code_->limits.get(), kMatchLimit);
  pcre2_set_depth_limit(code_->limits.get(), kDepthLimit);
  pcre2_set_heap_limit(code_->limits.get(), kHeapLimitKib);
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

namespace {

/// Matching one subject again and again: one allocation of match data.
class Search {
 public:
  Search(const pcre2_code* code, pcre2_match_context* limits, std::string_view subject)
      : code_(code), limits_(limits), subject_(subject), data_(pcre2_match_data_create_from_pattern(code, nullptr)) {}

  int match(size_t begin, std::uint32_t options) {
    int count = match_once(begin, options);
    if (count == PCRE2_ERROR_JIT_STACKLIMIT)
      count = match_once(begin, options | PCRE2_NO_JIT);  // its stack is the heap
    return count;
  }

  const PCRE2_SIZE* ends() const { return pcre2_get_ovector_pointer(data_.get()); }
  size_t num_groups() const { return pcre2_get_ovector_count(data_.get()); }

 private:
  int match_once(size_t begin, std::uint32_t options) {
    return pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(subject_.data()), subject_.size(), begin, options,
                       data_.get(), limits_);
  }

  const pcre2_code* code_;
  pcre2_match_context* limits_;
  std::string_view subject_;
  Owned<pcre2_match_data> data_;
};

size_t next_character(std::string_view text, size_t at) {
  do {
    ++at;
  } while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
  return at;
}

}  // namespace

void Regex::give_up(std::string_view subject, int error) const {
  user_error("{}: matching this regular expression against a text of {} bytes was given up: {}", where_, subject.size(),
             message_of(error));
}

std::optional<Regex::Groups> Regex::run(std::string_view subject, size_t begin, unsigned options) const {
  Search search(code_->code.get(), code_->limits.get(), subject);
  const int count = search.match(begin, options);
  if (count == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (count < 0) give_up(subject, count);
  Groups groups(search.num_groups());
  const PCRE2_SIZE* ends = search.ends();
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    if (ends[2 * i] != PCRE2_UNSET) groups[i] = Span{ends[2 * i], ends[2 * i + 1]};
  }
  return groups;
}

void Regex::find_all(std::string_view subject, std::vector<Span>& matches) const {
  matches.clear();
  Search search(code_->code.get(), code_->limits.get(), subject);
  std::uint32_t options = 0;
  for (size_t begin = 0; begin <= subject.size();) {
    const int count = search.match(begin, options);
    if (count == PCRE2_ERROR_NOMATCH) return;
    if (count < 0) give_up(subject, count);
    options = PCRE2_NO_UTF_CHECK;
    const Span found{search.ends()[0], search.ends()[1]};
    const bool is_empty = found.begin == found.end;
    if (!is_empty || matches.empty() || matches.back().end != found.begin) matches.push_back(found);
    begin = is_empty ? next_character(subject, found.end) : found.end;
  }
}

std::optional<Regex::Groups> Regex::search(std::string_view subject, size_t begin) const {
  return run(subject, begin, 0);
}

std::optional<Regex::Groups> Regex::match_prefix(std::string_view subject) const {
  return run(subject, 0, PCRE2_ANCHORED);
}

bool Regex::matches_all(std::string_view subject) const {
  return run(subject, 0, PCRE2_ANCHORED | PCRE2_ENDANCHORED).has_value();
}

}  // namespace allreco::core
