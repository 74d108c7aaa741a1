#include "data/prepare/shoppers/item_table.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <unordered_set>
#include <utility>

#include "core/check.h"
#include "core/interrupt.h"
#include "core/random.h"
#include "data/prepare/packed_text.h"
#include "data/prepare/part_readers.h"

namespace allreco::data {
using core::Json;

namespace {

/// Collective. The items of all ranks, sorted, each once: first at the rank that its hash says, so that what many ranks
/// have travels to all only once.
std::vector<std::string> all_items(const PrepareContext& context, const std::vector<std::string>& my_items) {
  PrepareRanks& ranks = context.ranks;
  std::unordered_set<std::string> kept;
  ExchangeRounds rounds(ranks, context.memory.round(), [&](int, std::string_view bytes) {
    while (!bytes.empty()) kept.emplace(take_text(bytes));
  });
  for (const std::string& item : my_items) {
    std::string record;
    append_text(record, item);
    const auto keeper = core::key_of(item) % static_cast<std::uint64_t>(ranks.size());
    if (rounds.add(static_cast<int>(keeper), record)) rounds.exchange(false);
  }
  while (rounds.exchange(true)) {
  }
  std::vector<std::string> items;
  const auto next = [&](std::string& bytes) {
    if (kept.empty()) return false;
    append_text(bytes, *kept.begin());
    kept.erase(kept.begin());
    return true;
  };
  gather_rounds(ranks, context.memory.round(), next, [&](std::string_view bytes) {
    while (!bytes.empty()) items.emplace_back(take_text(bytes));
  });
  std::sort(items.begin(), items.end());
  return items;
}

/// What a metadata row says, packed: the item's place, the row's, and the title.
struct TitleRecord {
  std::uint32_t item = 0;
  std::uint64_t row = 0;  // smaller in earlier parts, and earlier in a part
  bool is_described = false, was_cut = false;
  TitleProblem problem = TitleProblem::none;
  std::string_view text, brand, category, price;

  void pack(std::string& bytes) const {
    append_number(bytes, item);
    append_number(bytes, row);
    append_number(
        bytes, static_cast<std::uint8_t>(static_cast<int>(problem) << 2 | (was_cut ? 2 : 0) | (is_described ? 1 : 0)));
    for (const std::string_view field : {text, brand, category, price}) append_text(bytes, field);
  }
  static TitleRecord take(std::string_view& bytes) {
    TitleRecord record;
    record.item = take_number<std::uint32_t>(bytes);
    record.row = take_number<std::uint64_t>(bytes);
    const auto flags = take_number<std::uint8_t>(bytes);
    record.is_described = (flags & 1) != 0;
    record.was_cut = (flags & 2) != 0;
    record.problem = static_cast<TitleProblem>(flags >> 2);
    for (std::string_view* field : {&record.text, &record.brand, &record.category, &record.price})
      *field = take_text(bytes);
    return record;
  }
};

/// One rank's part of the metadata, up to the table.
class MetadataJoin {
 public:
  MetadataJoin(const PrepareContext& context, const std::string& files, const TitleRules& rules, double max_bad_share,
               ItemTable& table)
      : context_(context),
        rules_(rules),
        max_bad_share_(max_bad_share),
        table_(table),
        files_(input_files(files)),
        parts_(input_parts(files_, input_part_bytes(files_))),
        my_parts_(parts_of_rank(parts_, context.ranks.rank(), context.ranks.size())),
        counts_(parts_.size()),
        first_rows_(table.items.size(), kNoRow),
        is_described_(table.items.size()) {}

  void run() {
    read();
    exchange();
    count();
    table_.lines = report_files(files_, parts_, gather_counts(context_.ranks, counts_, my_parts_), max_bad_share_,
                                context_.ranks.is_leader());
  }

 private:
  static constexpr std::uint64_t kNoRow = ~std::uint64_t{0};
  void read();
  void read_part(std::size_t part, const PartReaders::Emit& emit);
  void exchange();
  void count();
  void keep(const TitleRecord& record);

  const PrepareContext& context_;
  const TitleRules& rules_;
  double max_bad_share_;
  ItemTable& table_;
  std::vector<std::filesystem::path> files_;
  std::vector<InputPart> parts_;
  std::vector<std::size_t> my_parts_;
  std::vector<PartCounts> counts_;
  std::vector<std::uint64_t> first_rows_;  // by item; kNoRow: none yet
  std::vector<bool> is_described_;         // by item
  std::atomic<std::uint64_t> num_bytes_{0};
};

void MetadataJoin::read_part(std::size_t part, const PartReaders::Emit& emit) {
  const auto is_wanted = [this](const std::string& item) {
    return std::binary_search(table_.items.begin(), table_.items.end(), item);
  };
  MetadataReader reader(parts_[part], rules_, max_bad_share_, is_wanted);
  PartCounts& counts = counts_[part];
  std::string batch;
  std::uint64_t last_bytes = 0;
  const auto send = [&] {
    const std::uint64_t bytes = reader.bytes_read();
    num_bytes_ += bytes - std::exchange(last_bytes, bytes);
    emit(std::exchange(batch, {}));
  };
  for (MetadataRow row; reader.next(row);) {
    const std::uint64_t place = static_cast<std::uint64_t>(part) << 40 | static_cast<std::uint64_t>(counts.rows++);
    TitleRecord{.item = table_.place_of(row.item),
                .row = place,
                .is_described = row.is_described,
                .was_cut = row.title.was_cut,
                .problem = row.title.problem,
                .text = row.title.text,
                .brand = row.brand,
                .category = row.category,
                .price = row.price}
        .pack(batch);
    if (batch.size() >= PartReaders::kBatchBytes) send();
  }
  counts.lines = reader.counts();
  send();
}

void MetadataJoin::keep(const TitleRecord& record) {
  if (record.row >= first_rows_[record.item]) return;
  first_rows_[record.item] = record.row;
  is_described_[record.item] = record.is_described;
  table_.titles[record.item] = {std::string(record.text), record.problem, record.was_cut};
  table_.details[record.item] = {std::string(record.brand), std::string(record.category), std::string(record.price)};
}

void MetadataJoin::read() {
  PrepareProgress& progress = context_.progress;
  progress.begin("metadata", static_cast<double>(bytes_of(parts_, my_parts_)), "MB", 1e6, context_.ranks.size());
  PartReaders readers(my_parts_, context_.num_threads,
                      [this](std::size_t part, const PartReaders::Emit& emit) { read_part(part, emit); });
  for (std::string batch; readers.next(batch);) {
    for (std::string_view bytes = batch; !bytes.empty();) keep(TitleRecord::take(bytes));
    context_.ranks.leave_if_peer_failed();
    core::throw_if_interrupted();
    progress.show(static_cast<double>(num_bytes_.load()));
  }
  progress.end();
}

void MetadataJoin::exchange() {
  if (context_.ranks.size() == 1) return;
  std::uint32_t item = 0;
  const auto next = [&](std::string& bytes) {
    while (item < first_rows_.size() && first_rows_[item] == kNoRow) ++item;
    if (item == first_rows_.size()) return false;
    const CleanTitle& title = table_.titles[item];
    const ItemDetails& details = table_.details[item];
    TitleRecord{.item = item,
                .row = first_rows_[item],
                .is_described = is_described_[item],
                .was_cut = title.was_cut,
                .problem = title.problem,
                .text = title.text,
                .brand = details.brand,
                .category = details.category,
                .price = details.price}
        .pack(bytes);
    ++item;
    return true;
  };
  // What others bring for items that are still to be told may come before: the first row is then told in its place,
  // which changes nothing.
  gather_rounds(context_.ranks, context_.memory.round(), next, [&](std::string_view bytes) {
    while (!bytes.empty()) keep(TitleRecord::take(bytes));
  });
}

void MetadataJoin::count() {
  std::int64_t num_rows = 0;
  for (const std::size_t part : my_parts_) num_rows += counts_[part].rows;
  num_rows = context_.ranks.sum(num_rows);
  std::int64_t no_metadata = 0, unusable = 0, cut = 0, usable = 0, described = 0;
  std::unordered_map<std::string_view, std::uint32_t> ids;
  table_.title_ids.assign(table_.items.size(), ItemTable::kNoTitle);
  for (std::size_t item = 0; item < table_.items.size(); ++item) {
    const CleanTitle& title = table_.titles[item];
    table_.has_metadata[item] = first_rows_[item] != kNoRow;
    described += is_described_[item];
    if (!table_.has_metadata[item]) {
      ++no_metadata;
    } else if (title.problem != TitleProblem::none) {
      ++unusable;
    } else {
      ++usable;
      cut += title.was_cut ? 1 : 0;
      table_.title_ids[item] = ids.try_emplace(title.text, static_cast<std::uint32_t>(ids.size())).first->second;
    }
  }
  table_.counts = {{"items_reviewed", table_.items.size()},
                   {"items_without_metadata", no_metadata},
                   {"items_without_usable_title", unusable},
                   {"items_described", described},
                   {"titles_cut", cut},
                   {"items_sharing_a_title", usable - static_cast<std::int64_t>(ids.size())},
                   {"metadata_rows_repeated", num_rows - (std::ssize(table_.items) - no_metadata)}};
}

}  // namespace

std::uint32_t ItemNumbers::number_of(std::string_view item) {
  const auto found = numbers_.find(item);
  if (found != numbers_.end()) return found->second;
  return numbers_.emplace(item, static_cast<std::uint32_t>(numbers_.size())).first->second;
}

std::vector<std::string> ItemNumbers::take() {
  std::vector<std::string> texts(numbers_.size());
  while (!numbers_.empty()) {
    auto node = numbers_.extract(numbers_.begin());
    texts[node.mapped()] = std::move(node.key());
  }
  return texts;
}

std::uint32_t ItemTable::place_of(std::string_view item) const {
  const auto found = std::lower_bound(items.begin(), items.end(), item);
  core::require(found != items.end() && *found == item, "an item that is asked for is in the table");
  return static_cast<std::uint32_t>(found - items.begin());
}

ItemTable join_items(const PrepareContext& context, const std::vector<std::string>& my_items, const std::string& files,
                     const TitleRules& rules, double max_bad_share) {
  context.ranks.enter("metadata");
  ItemTable table;
  table.items = all_items(context, my_items);
  std::uint64_t text_bytes = 0;
  for (const std::string& item : table.items) text_bytes += item.size();
  context.memory.require_room_for_items(table.items.size(), text_bytes);
  table.titles.resize(table.items.size());
  table.details.resize(table.items.size());
  table.has_metadata.resize(table.items.size());
  MetadataJoin(context, files, rules, max_bad_share, table).run();
  for (std::size_t item = 0; item < table.items.size(); ++item) {
    const ItemDetails& details = table.details[item];
    text_bytes += table.titles[item].text.size() + details.brand.size() + details.category.size();
  }
  context.memory.require_room_for_items(table.items.size(), text_bytes);
  return table;
}

}  // namespace allreco::data
