#include "data/prepare/shoppers/review_intake.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "core/check.h"
#include "core/interrupt.h"
#include "data/prepare/part_readers.h"

namespace allreco::data {

namespace {

/// Users of evenly spread rows, as many as there is room for.
class UserSample {
 public:
  void add(std::string_view user) {
    if (num_rows_++ % stride_ != 0) return;
    users_.emplace_back(user.substr(0, kLongestUser));
    if (users_.size() < kSize) return;
    for (std::size_t i = 0; i < kSize / 2; ++i) users_[i] = std::move(users_[2 * i]);
    users_.resize(kSize / 2);
    stride_ *= 2;
  }

  /// Collective. size() - 1 users: rank r owns what lies from the r-th (from the beginning) up to the next one.
  std::vector<std::string> splitters(PrepareRanks& ranks) const;

 private:
  static constexpr std::size_t kSize = 4096, kLongestUser = 64;
  std::vector<std::string> users_;
  std::uint64_t num_rows_ = 0, stride_ = 1;
};

std::vector<std::string> UserSample::splitters(PrepareRanks& ranks) const {
  core::Json mine = core::Json::array();
  for (const std::string& user : users_) mine.push_back(core::Json::binary({user.begin(), user.end()}));
  const std::vector<std::uint8_t> packed = core::Json::to_cbor({{"stride", stride_}, {"users", mine}});
  std::vector<std::pair<std::string, std::uint64_t>> sample;  // with how many rows each stands for
  std::uint64_t total = 0;
  for (const std::string& text : ranks.all_gather(std::string(packed.begin(), packed.end()))) {
    const core::Json json = core::Json::from_cbor(text);
    const auto stride = json["stride"].get<std::uint64_t>();
    for (const core::Json& user : json["users"]) {
      sample.emplace_back(std::string(user.get_binary().begin(), user.get_binary().end()), stride);
      total += stride;
    }
  }
  std::sort(sample.begin(), sample.end());
  std::vector<std::string> splitters;
  const auto num_ranks = static_cast<std::uint64_t>(ranks.size());
  std::uint64_t sum = 0;
  for (const auto& [user, rows] : sample) {
    while (splitters.size() + 1 < num_ranks && sum * num_ranks >= total * (splitters.size() + 1))
      splitters.push_back(user);
    sum += rows;
  }
  while (splitters.size() + 1 < num_ranks) splitters.push_back(sample.empty() ? "" : sample.back().first);
  return splitters;
}

/// One rank's readers and what they count.
class Intake {
 public:
  Intake(const PrepareContext& context, const std::string& files, double max_bad_share, bool verified_only)
      : context_(context),
        max_bad_share_(max_bad_share),
        verified_only_(verified_only),
        files_(input_files(files)),
        parts_(input_parts(files_, input_part_bytes(files_))),
        my_parts_(parts_of_rank(parts_, context.ranks.rank(), context.ranks.size())),
        counts_(parts_.size()) {}

  /// Calls take(row, user) for the packed rows of this rank's parts.
  template <class Take>
  void read(const Take& take) {
    PrepareProgress& progress = context_.progress;
    progress.begin("read", static_cast<double>(bytes_of(parts_, my_parts_)), "MB", 1e6, context_.ranks.size());
    PartReaders readers(my_parts_, context_.num_threads,
                        [this](std::size_t part, const PartReaders::Emit& emit) { read_part(part, emit); });
    for (std::string batch; progress.timed("read and parse", [&] { return readers.next(batch); });) {
      for (std::size_t at = 0; at < batch.size();) {
        const std::size_t size = packed_size(header_of(batch.data() + at));
        take(std::string_view(batch).substr(at, size), unpack_row(batch.data() + at).user);
        at += size;
      }
      context_.ranks.leave_if_peer_failed();
      core::throw_if_interrupted();
      progress.show(static_cast<double>(num_bytes_.load()));
    }
    progress.end();
  }

  core::Json report();

 private:
  void read_part(std::size_t part, const PartReaders::Emit& emit);

  const PrepareContext& context_;
  double max_bad_share_;
  bool verified_only_;
  std::vector<std::filesystem::path> files_;
  std::vector<InputPart> parts_;
  std::vector<std::size_t> my_parts_;
  std::vector<PartCounts> counts_;
  std::atomic<std::uint64_t> num_bytes_{0};
};

void Intake::read_part(std::size_t part, const PartReaders::Emit& emit) {
  ReviewReader reader(parts_[part], max_bad_share_);
  PartCounts& counts = counts_[part];
  std::string batch;
  std::uint64_t last_bytes = reader.bytes_read();
  const auto send = [&] {
    const std::uint64_t bytes = reader.bytes_read();
    num_bytes_ += bytes - std::exchange(last_bytes, bytes);
    emit(std::exchange(batch, {}));
  };
  for (ReviewRow row; reader.next(row);) {
    if (counts.rows++ == 0 && verified_only_) reader.require_verified();
    pack_row(row, batch);
    if (batch.size() >= PartReaders::kBatchBytes) send();
  }
  counts.lines = reader.counts();
  send();
}

core::Json Intake::report() {
  const std::vector<PartCounts> counts = gather_counts(context_.ranks, counts_, my_parts_);
  core::Json json = report_files(files_, parts_, counts, max_bad_share_, context_.ranks.is_leader());
  for (std::size_t file = 0; file < files_.size(); ++file) {
    std::int64_t rows = 0;
    for (std::size_t part = 0; part < parts_.size(); ++part)
      if (parts_[part].input == file) rows += counts[part].rows;
    if (rows == 0) core::user_error("{} holds no review: is it the right file?", files_[file].string());
  }
  return json;
}

}  // namespace

ReviewIntake take_in_reviews(const PrepareContext& context, const std::string& files, double max_bad_share,
                             bool verified_only, RowSorter& sorter) {
  PrepareRanks& ranks = context.ranks;
  ranks.enter("read");
  Intake intake(context, files, max_bad_share, verified_only);
  if (ranks.size() == 1) {
    intake.read([&](std::string_view row, std::string_view) { sorter.add(row); });
    return {intake.report(), 0};
  }
  // Whose a row is can be said when all have been seen: until then they wait, in the order in which they were read.
  core::Spool waiting(context.memory.spill_directory, context.memory.spool());
  UserSample sample;
  intake.read([&](std::string_view row, std::string_view user) {
    sample.add(user);
    waiting.append(row);
  });
  core::Json lines = intake.report();
  ranks.enter("exchange");
  const std::vector<std::string> splitters = sample.splitters(ranks);
  ExchangeRounds rounds(ranks, context.memory.round(), [&](int, std::string_view rows) {
    for (std::size_t at = 0; at < rows.size();) {
      const std::size_t size = packed_size(header_of(rows.data() + at));
      sorter.add(rows.substr(at, size));
      at += size;
    }
  });
  context.progress.timed("exchange", [&] {
    core::SpoolReader reader(waiting);
    while (!reader.at_end()) {
      const std::string_view row = reader.read(packed_size(header_of(reader.peek(sizeof(PackedHeader)).data())));
      const auto owner = std::upper_bound(splitters.begin(), splitters.end(), unpack_row(row.data()).user);
      if (rounds.add(static_cast<int>(owner - splitters.begin()), row)) rounds.exchange(false);
    }
    while (rounds.exchange(true)) {
    }
  });
  return {std::move(lines), rounds.sent_bytes()};
}

}  // namespace allreco::data
