#include "data/prepare/target_times.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <set>
#include <string>

namespace allreco::data {

namespace {

constexpr std::int64_t kSecondsOfDay = 86400;

std::int64_t day_of(std::int64_t time) {
  return time >= 0 ? time / kSecondsOfDay : -((-time + kSecondsOfDay - 1) / kSecondsOfDay);
}

struct DayCount {
  std::int64_t day = 0, count = 0, first = 0, last = 0;
};

using CountsByDay = std::map<std::int64_t, DayCount>;

void add_day(CountsByDay& days, const DayCount& more) {
  const auto [place, is_new] = days.try_emplace(more.day, more);
  if (is_new) return;
  DayCount& known = place->second;
  known.count += more.count;
  known.first = std::min(known.first, more.first);
  known.last = std::max(known.last, more.last);
}

/// Collective. Every rank's records, of a type without pointers, to each rank.
template <class T, class Take>
void share_records(PrepareRanks& ranks, const std::vector<T>& mine, const Take& take) {
  std::size_t next = 0;
  const auto pack = [&](std::string& bytes) {
    if (next == mine.size()) return false;
    bytes.append(reinterpret_cast<const char*>(&mine[next++]), sizeof(T));
    return true;
  };
  gather_rounds(ranks, kRoundBytes, pack, [&](std::string_view bytes) {
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(T)) {
      T record;
      std::memcpy(&record, bytes.data() + at, sizeof(T));
      take(record);
    }
  });
}

CountsByDay count_days(PrepareRanks& ranks, const ForEachTime& for_each_time) {
  CountsByDay mine, all;
  for_each_time([&](std::int64_t time) { add_day(mine, {day_of(time), 1, time, time}); });
  std::vector<DayCount> records;
  for (const auto& [day, count] : mine) records.push_back(count);
  share_records(ranks, records, [&](const DayCount& count) { add_day(all, count); });
  return all;
}

using CountsBySecond = std::map<std::int64_t, std::int64_t>;  // how many targets at each

void count_seconds(PrepareRanks& ranks, const ForEachTime& for_each_time, const std::set<std::int64_t>& days,
                   std::map<std::int64_t, CountsBySecond>& known) {
  CountsBySecond mine;
  for_each_time([&](std::int64_t time) {
    if (days.contains(day_of(time))) ++mine[time];
  });
  std::vector<TimeCount> records;
  for (const auto& [time, count] : mine) records.push_back({time, count});
  share_records(ranks, records, [&](const TimeCount& entry) { known[day_of(entry.time)][entry.time] += entry.count; });
}

/// The days that are not known by second stand as if all their targets came with the first.
std::vector<TimeCount> histogram_of(const CountsByDay& days, const std::map<std::int64_t, CountsBySecond>& known) {
  std::vector<TimeCount> histogram;
  for (const auto& [day, count] : days) {
    const auto seconds = known.find(day);
    if (seconds == known.end())
      histogram.push_back({count.first, count.count});
    else
      for (const auto& [time, targets] : seconds->second) histogram.push_back({time, targets});
  }
  return histogram;
}

}  // namespace

TimeBoundaries time_boundaries(PrepareRanks& ranks, const ForEachTime& for_each_time, double validation_share,
                               double test_share) {
  const CountsByDay days = count_days(ranks, for_each_time);
  std::map<std::int64_t, CountsBySecond> known;  // days by second
  std::set<std::int64_t> wanted;
  const auto want = [&](CountsByDay::const_iterator day) {
    const bool is_one_time = day->second.first == day->second.last;
    if (!is_one_time && !known.contains(day->first)) wanted.insert(day->first);
  };
  const auto want_around = [&](std::int64_t boundary) {
    const auto day = days.find(day_of(boundary));
    if (day == days.end()) return;  // a boundary that is never reached
    want(day);
    if (day != days.begin()) want(std::prev(day));
  };
  auto day = days.begin();
  for (int i = 0; i < 2 && day != days.end(); ++i) want(day++);
  for (;;) {
    if (!wanted.empty()) count_seconds(ranks, for_each_time, wanted, known);
    wanted.clear();
    const TimeBoundaries boundaries = time_boundaries(histogram_of(days, known), validation_share, test_share);
    want_around(boundaries.test_start);
    want_around(boundaries.validation_start);
    if (wanted.empty()) return boundaries;
  }
}

}  // namespace allreco::data
