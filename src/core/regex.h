// Regex: a regular expression over UTF-8 by PCRE2, with limits: neither a pattern nor a text from outside can make it
// take unbounded time, memory or stack. pcre2.h stays inside regex.cpp.
#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace allreco::core {

/// Compiled once, then immutable. Matching is safe from several threads.
class Regex {
 public:
  /// A byte range of the subject.
  struct Span {
    size_t begin = 0, end = 0;
  };
  /// Spans of group 0 (the whole match), 1, ...; none where a group took no part.
  using Groups = std::vector<std::optional<Span>>;

  /// `where`: what the pattern belongs to, named in errors ("target_modules = ..."). UserError for a pattern that is
  /// malformed, longer than 64 KiB or nested deeper than 250 parentheses. `multiline`: ^ and $ match at line ends, too.
  Regex(std::string where, std::string_view pattern, bool multiline = false);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  /// The leftmost match that begins at or after byte `begin`, which must be at a character. UserError when the match
  /// limit is reached or the subject is not UTF-8.
  std::optional<Groups> search(std::string_view subject, size_t begin = 0) const;
  /// A match that begins at byte 0.
  std::optional<Groups> match_prefix(std::string_view subject) const;
  /// A match of all of `subject`.
  bool matches_all(std::string_view subject) const;
  /// Sets `matches` to all matches from left to right; an empty one right behind another is none. Linear in the
  /// subject's length as far as the pattern is: UTF-8 is checked once.
  void find_all(std::string_view subject, std::vector<Span>& matches) const;

 private:
  struct Code;
  std::optional<Groups> run(std::string_view subject, size_t begin, unsigned options) const;
  [[noreturn]] void give_up(std::string_view subject, int error) const;

  std::string where_;
  std::unique_ptr<Code> code_;
};

}  // namespace allreco::core
