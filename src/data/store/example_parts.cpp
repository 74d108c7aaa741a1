#include "data/store/example_parts.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>
#include <utility>

#include "core/check.h"
#include "core/input_file.h"

namespace allreco::data {
namespace fs = std::filesystem;

namespace {

struct ExampleHeader {
  std::uint64_t num_bytes;  // of the record, with this header
  std::uint64_t user;
  std::int64_t timestamp;
  std::uint32_t num_tokens, prompt_length, num_history;
  std::uint32_t target, last_item;
  std::uint16_t num_candidates;
  std::uint8_t gold;
  std::uint8_t known;  // which of the optional fields there are
};

constexpr int kHasUser = 1, kHasTimestamp = 2, kHasTarget = 4, kHasLastItem = 8,
              kHasGold = 16;  // of ExampleHeader::known

template <class T>
void append_bytes(std::string& bytes, const std::vector<T>& values) {
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

template <class T>
const char* take_values(const char* from, std::size_t count, std::vector<T>& values) {
  values.resize(count);
  if (count > 0) std::memcpy(values.data(), from, count * sizeof(T));
  return from + count * sizeof(T);
}

template <class T>
void set_field(std::optional<T>& field, bool is_known, T value) {
  field = is_known ? std::optional(value) : std::nullopt;
}

void unpack_example(const char* bytes, Example& example) {
  ExampleHeader header;
  std::memcpy(&header, bytes, sizeof header);
  const auto has = [&](int field) { return (header.known & field) != 0; };
  example.prompt_length = header.prompt_length;
  set_field(example.user, has(kHasUser), header.user);
  set_field(example.timestamp, has(kHasTimestamp), header.timestamp);
  set_field(example.target, has(kHasTarget), header.target);
  set_field(example.last_item, has(kHasLastItem), header.last_item);
  set_field(example.gold, has(kHasGold), header.gold);
  const char* at = take_values(bytes + sizeof header, header.num_tokens, example.tokens);
  at = take_values(at, header.num_history, example.history);
  take_values(at, header.num_candidates, example.candidates);
}

}  // namespace

void pack_example(const Example& example, std::string& bytes) {
  ExampleHeader header{};
  header.num_bytes = sizeof header + example.tokens.size() * sizeof(TokenId) +
                     (example.history.size() + example.candidates.size()) * sizeof(std::uint32_t);
  header.user = example.user.value_or(0);
  header.timestamp = example.timestamp.value_or(0);
  header.num_tokens = static_cast<std::uint32_t>(example.tokens.size());
  header.prompt_length = static_cast<std::uint32_t>(example.prompt_length);
  header.num_history = static_cast<std::uint32_t>(example.history.size());
  header.num_candidates = static_cast<std::uint16_t>(example.candidates.size());
  header.target = example.target.value_or(0);
  header.last_item = example.last_item.value_or(0);
  header.gold = example.gold.value_or(0);
  header.known = static_cast<std::uint8_t>((example.user ? kHasUser : 0) | (example.timestamp ? kHasTimestamp : 0) |
                                           (example.target ? kHasTarget : 0) | (example.last_item ? kHasLastItem : 0) |
                                           (example.gold ? kHasGold : 0));
  bytes.append(reinterpret_cast<const char*>(&header), sizeof header);
  append_bytes(bytes, example.tokens);
  append_bytes(bytes, example.history);
  append_bytes(bytes, example.candidates);
}

void ExamplePartWriter::write_failed() const {
  core::user_error("cannot write {}: {}. Free some space or choose another directory", path_.string(),
                   std::strerror(errno));
}

void ExamplePartWriter::append(std::string_view packed) {
  if (packed.empty()) return;
  if (!file_.is_open()) file_.open(path_, std::ios::binary);
  for (std::size_t at = 0; at < packed.size();) {
    if (part_.num_examples++ % ExamplePart::kStride == 0) part_.offsets.push_back(size_ + at);
    std::uint64_t num_bytes = 0;
    std::memcpy(&num_bytes, packed.data() + at, sizeof num_bytes);
    at += num_bytes;
  }
  size_ += packed.size();
  if (!file_.write(packed.data(), static_cast<std::streamsize>(packed.size()))) write_failed();
}

void ExamplePartWriter::close() {
  if (!file_.is_open()) return;
  file_.close();
  if (!file_) write_failed();
}

struct ExampleCursor::State {
  State(const std::vector<fs::path>& given_paths, const std::vector<ExamplePart>& given_parts)
      : paths(given_paths), parts(given_parts) {}

  void open(std::size_t index, std::int64_t skipped) {
    part = index;
    left = parts[index].num_examples - skipped;
    held = first = 0;
    file.reset();
    if (left == 0) return;
    file.emplace(paths[index]);
    place = parts[index].offsets[static_cast<std::size_t>(skipped / ExamplePart::kStride)];
    for (std::int64_t i = 0; i < skipped % ExamplePart::kStride; ++i) record();
  }

  /// The bytes of the next record of the open part.
  const char* record() {
    std::uint64_t num_bytes = 0;
    fill(sizeof num_bytes);
    std::memcpy(&num_bytes, buffer.data() + first, sizeof num_bytes);
    fill(num_bytes);
    const char* const bytes = buffer.data() + first;
    first += num_bytes;
    held -= num_bytes;
    return bytes;
  }

  void fill(std::size_t at_least) {
    if (held >= at_least) return;
    constexpr std::size_t kBufferBytes = std::size_t{1} << 20;
    std::memmove(buffer.data(), buffer.data() + first, held);
    first = 0;
    if (buffer.size() < std::max(at_least, kBufferBytes)) buffer.resize(std::max(at_least, kBufferBytes));
    const auto more = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size() - held, file->size() - place));
    file->read(place, more, buffer.data() + held);
    place += more;
    held += more;
    core::require(held >= at_least, "a part ends with a whole example");
  }

  const std::vector<fs::path>& paths;
  const std::vector<ExamplePart>& parts;
  std::size_t part = 0;
  std::int64_t left = 0;  // examples of this part
  std::optional<core::InputFile> file;
  std::uint64_t place = 0;  // of the file, behind what is held
  std::vector<char> buffer;
  std::size_t first = 0, held = 0;  // bytes of the buffer that are not taken yet
};

ExampleCursor::ExampleCursor(const std::vector<fs::path>& paths, const std::vector<ExamplePart>& parts,
                             std::int64_t first)
    : state_(std::make_unique<State>(paths, parts)) {
  std::size_t part = 0;
  while (part + 1 < parts.size() && first >= parts[part].num_examples) first -= parts[part++].num_examples;
  state_->open(part, first);
}

ExampleCursor::~ExampleCursor() = default;

void ExampleCursor::next(Example& example) {
  while (state_->left == 0) {
    core::require(state_->part + 1 < state_->parts.size(), "an example that is read was written");
    state_->open(state_->part + 1, 0);
  }
  --state_->left;
  unpack_example(state_->record(), example);
}

FinishedShard write_shard(const std::vector<fs::path>& paths, const std::vector<ExamplePart>& parts, std::int64_t first,
                          std::int64_t count, const ShardIdentity& identity, const fs::path& shard,
                          const std::function<void()>& at_times) {
  ShardWriter writer(shard.parent_path(), identity);
  ExampleCursor cursor(paths, parts, first);
  Example example;
  for (std::int64_t i = 0; i < count; ++i) {
    if (i % ExamplePart::kStride == 0) at_times();
    cursor.next(example);
    writer.append(example);
  }
  return writer.write(shard);
}

}  // namespace allreco::data
