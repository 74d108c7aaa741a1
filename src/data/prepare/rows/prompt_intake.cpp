#include "data/prepare/rows/prompt_intake.h"

#include <fmt/format.h>

#include <utility>

namespace allreco::data {
using core::Json;

namespace {

/// A row whose output is not word for word among the options that it shows keeps none.
void find_options(const OptionFinder& finder, ParsedRow& row) {
  auto found = finder.find(row.text.input);
  if (!found) found = finder.find(row.text.instruction);
  if (found) choose_options(row, std::move(found->options));
}

}  // namespace

PromptIntake::PromptIntake(const PrepareContext& context, const PrepareConfig& config, const OptionFinder* finder)
    : context_(context),
      config_(config),
      finder_(finder),
      reading_(context, config.prompts, config.max_bad_line_share),
      rows_(context.memory.spill_directory, context.memory.spool()) {}

void PromptIntake::read() {
  context_.ranks.enter("read");
  context_.progress.timed("read and parse", [&] { read_own(); });
  context_.ranks.enter("exchange");
  context_.progress.timed("exchange", [&] {
    settle_fields();
    const std::int64_t cost = sift();
    report_ = reading_.report();
    context_.ranks.all_sum(counts_);
    unread_.join(context_.ranks);
    share_out(cost);
  });
}

void PromptIntake::read_own() {
  struct Batch {
    std::string bytes;
    UnreadFields unread;
  };
  reading_.run<Batch>(
      [this](const Json& row, RowPlace place, Batch& batch) {
        for (const std::string& name : unread_fields(row)) batch.unread.add(name);
        return parse(row, place, batch.bytes);
      },
      [this](Batch& batch) {
        rows_.append(batch.bytes);
        unread_.merge(batch.unread);
      });
}

std::string PromptIntake::parse(const Json& row, RowPlace place, std::string& bytes) const {
  PromptRecord record;
  record.row = parse_prompt_row(row);
  record.place = place.packed();
  std::string problem = record.row.problem.empty() ? parse_split(row, record.split) : record.row.problem;
  if (!problem.empty()) return problem;
  if (record.row.fate != RowFate::usable) {
    record.row.text = {};
    record.row.options.clear();
  } else if (finder_ && record.row.options.empty()) {
    record.was_searched_for_options = true;
    find_options(*finder_, record.row);
  }
  pack_prompt(record, bytes);
  return "";
}

/// Collective. What the first row of all has.
void PromptIntake::settle_fields() {
  std::string mine;
  if (rows_.size() > 0) {
    core::SpoolReader reader(rows_);
    const PromptHeader first = prompt_header(reader.peek(sizeof(PromptHeader)));
    mine = {first.has_user() ? '1' : '0', first.has_timestamp() ? '1' : '0'};
  }
  for (const std::string& of_rank : context_.ranks.all_gather(mine)) {
    if (of_rank.empty()) continue;
    has_user_ = of_rank[0] == '1';
    has_timestamp_ = of_rank[1] == '1';
    return;
  }
}

/// All examples of a dataset have a user, or none has; the same of times.
std::string PromptIntake::unlike_first(const PromptHeader& row) const {
  const auto problem = [](bool first_has, bool has, const char* name) {
    if (first_has == has) return std::string();
    return has ? fmt::format("{} in it, which the first row lacks", name)
               : fmt::format("no {} in it, which the first row has", name);
  };
  const std::string about_user = problem(has_user_, row.has_user(), "user");
  return about_user.empty() ? problem(has_timestamp_, row.has_timestamp(), "timestamp") : about_user;
}

/// Counts this rank's rows; the bytes of those that become examples.
std::int64_t PromptIntake::sift() {
  std::int64_t cost = 0;
  for (core::SpoolReader reader(rows_); !reader.at_end();) {
    const std::string_view record = read_prompt(reader);
    const PromptHeader header = prompt_header(record);
    if (std::string problem = unlike_first(header); !problem.empty()) {
      reading_.reject(RowPlace::unpacked(header.place), std::move(problem));
      continue;
    }
    ++counts_[header.fate];
    if (header.row_fate() != RowFate::usable) continue;
    cost += static_cast<std::int64_t>(record.size());
    if (header.was_searched()) ++counts_[header.num_options > 0 ? kFound : kNotFound];
  }
  return cost;
}

/// Calls visit(record, worker) for the rows of this rank that become examples.
template <class VisitOwn>
void PromptIntake::for_each_own(const VisitOwn& visit) const {
  std::int64_t cost_before = 0;
  for (core::SpoolReader reader(rows_); !reader.at_end();) {
    const std::string_view record = read_prompt(reader);
    const PromptHeader header = prompt_header(record);
    if (header.row_fate() != RowFate::usable || !unlike_first(header).empty()) continue;
    visit(record, shares_->worker_of(cost_before));
    cost_before += static_cast<std::int64_t>(record.size());
  }
}

void PromptIntake::share_out(std::int64_t cost) {
  shares_.emplace(context_, cost);
  shares_->hand_over(context_, [&](const EvenShares::Send& send) {
    for_each_own([&](std::string_view record, int worker) {
      if (worker != context_.ranks.rank()) send(worker, record);
    });
  });
}

void PromptIntake::for_each(const Visit& visit) const {
  const auto read_one = [&](core::SpoolReader& reader) { visit(unpack_prompt(read_prompt(reader))); };
  shares_->for_each(read_one, [&] {
    for_each_own([&](std::string_view record, int worker) {
      if (worker == context_.ranks.rank()) visit(unpack_prompt(record));
    });
  });
}

std::string PromptIntake::line_of(std::uint64_t place) const {
  return fmt::format("{} line {}", config_.prompts, reading_.line_number(RowPlace::unpacked(place)));
}

}  // namespace allreco::data
