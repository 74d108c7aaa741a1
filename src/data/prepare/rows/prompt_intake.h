// PromptIntake: rows of ready prompts, read by all ranks in byte ranges and shared out by their length, which is what
// encoding them costs. A rank's rows are neighbours in the file, and those of all ranks stand one behind another.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/prepare/even_shares.h"
#include "data/prepare/rows/prompt_records.h"
#include "data/prepare/rows/row_reading.h"
#include "data/prepare/rows/unread_fields.h"
#include "data/prompts/option_finder.h"

namespace allreco::data {

class PromptIntake {
 public:
  /// `finder`: of the options that rows show in their text alone; may be null. Keeps the pointer.
  PromptIntake(const PrepareContext& context, const PrepareConfig& config, const OptionFinder* finder);

  /// Collective, once. A row without what the first one has of user and timestamp is malformed, as all examples of a
  /// dataset have them, or none has. UserError as RowReading.
  void read();

  /// Calls visit for this rank's usable rows, in order. After read().
  using Visit = std::function<void(PromptRecord&& record)>;
  void for_each(const Visit& visit) const;

  /// "FILE line 7", of a row's RowPlace.
  std::string line_of(std::uint64_t place) const;
  /// After read(), of all ranks' rows.
  std::int64_t num_rows() const { return reading_.num_lines(); }
  std::int64_t num_malformed() const { return reading_.num_bad(); }
  std::int64_t num_of(RowFate fate) const { return counts_[static_cast<std::size_t>(fate)]; }
  std::int64_t num_found() const { return counts_[kFound]; }         // rows whose options their text shows
  std::int64_t num_not_found() const { return counts_[kNotFound]; }  // rows without any, where they were looked for
  const UnreadFields& unread() const { return unread_; }
  const core::Json& report() const { return report_; }

 private:
  static constexpr std::size_t kFates = 6, kFound = kFates, kNotFound = kFates + 1;

  void read_own();
  std::string parse(const core::Json& row, RowPlace place, std::string& bytes) const;
  void settle_fields();
  std::string unlike_first(const PromptHeader& row) const;
  std::int64_t sift();
  template <class VisitOwn>
  void for_each_own(const VisitOwn& visit) const;
  void share_out(std::int64_t cost);

  const PrepareContext& context_;
  const PrepareConfig& config_;
  const OptionFinder* finder_;
  RowReading reading_;
  core::Spool rows_;  // what this rank has read
  std::optional<EvenShares> shares_;
  std::vector<std::int64_t> counts_ = std::vector<std::int64_t>(kNotFound + 1);
  UnreadFields unread_;
  core::Json report_;
  bool has_user_ = false, has_timestamp_ = false;  // whether rows have them, as the first one does
};

}  // namespace allreco::data
