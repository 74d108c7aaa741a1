#include "recommend/request_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace allreco::recommend {
namespace {

using std::chrono::milliseconds;

TEST(RequestQueue, GivesInOrderAndRefusesWhatIsTooMuch) {
  RequestQueue queue(3);
  std::vector<Query> queries(4);
  std::vector<std::future<RequestQueue::Answer>> answers;
  for (int i = 0; i < 3; ++i) answers.push_back(queue.submit(queries[static_cast<std::size_t>(i)]).value());
  EXPECT_FALSE(queue.submit(queries[3])) << "full";
  auto batch = queue.take(2, milliseconds(0));
  ASSERT_EQ(batch.size(), 2u);
  EXPECT_EQ(batch[0].query, &queries[0]);
  EXPECT_EQ(batch[1].query, &queries[1]);
  batch[0].answer.set_value({{7, 1, 0}});
  EXPECT_EQ(answers[0].get().front().item, 7u);
  EXPECT_TRUE(queue.submit(queries[3]));
  EXPECT_EQ(queue.take(9, milliseconds(0)).size(), 2u);
  EXPECT_TRUE(queue.take(9, milliseconds(1)).empty());
}

TEST(RequestQueue, EveryRequestOfManyThreadsIsAnswered) {
  RequestQueue queue(1000);
  std::atomic<int> num_answered{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back([&] {
      for (std::uint32_t n = 0; n < 50; ++n) {
        Query query;
        query.k = n;
        const auto answer = queue.submit(query).value().get();
        num_answered += answer.front().item == n;
      }
    });
  }
  for (int left = 400; left > 0;) {
    for (auto& waiting : queue.take(5, milliseconds(1000))) {
      waiting.answer.set_value({{static_cast<std::uint32_t>(waiting.query->k), 1, 0}});
      --left;
    }
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(num_answered, 400);
}

}  // namespace
}  // namespace allreco::recommend
