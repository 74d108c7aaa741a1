#include "recommend/serve.h"

#include <atomic>
#include <cstdint>
#include <exception>

#include "core/log.h"
#include "core/memory.h"
#include "core/stop_signals.h"
#include "recommend/answer.h"
#include "recommend/page.h"
#include "recommend/request_queue.h"

namespace allreco::recommend {

using core::Json;

namespace {

constexpr std::chrono::milliseconds kSignalsPatience{20};

int status_of(RequestError::Kind kind) {
  switch (kind) {
    case RequestError::Kind::too_long:
      return 413;
    case RequestError::Kind::unknown_item:
      return 422;
    default:
      return 400;
  }
}

/// What the connections' threads do: understand a request, wait for its answer, say it.
class Front {
 public:
  Front(const Recommender& recommender, RequestQueue& queue, const ServeOptions& options)
      : recommender_(recommender), queue_(queue), options_(options) {}

  HttpAnswer recommend(const std::string& body) {
    HttpAnswer answer = answer_to(body);
    ++(answer.status == 200 ? num_answered_ : num_refused_);
    return answer;
  }

  HttpAnswer health() const {
    return {200, to_line({{"status", "ok"},
                          {"items", recommender_.index().items().size()},
                          {"waiting", queue_.size()},
                          {"answered", num_answered_.load()},
                          {"refused", num_refused_.load()}})};
  }

  std::int64_t num_answered() const { return num_answered_; }
  std::int64_t num_refused() const { return num_refused_; }

 private:
  HttpAnswer answer_to(const std::string& body) const {
    Json id;
    try {
      const Request request = parse_request(body, options_.defaults);
      id = request.id;
      const Query query = recommender_.query_of(request);
      auto answer = queue_.submit(query);
      if (!answer) return refusal(503, {{"error", "too many requests are waiting: try again"}}, id);
      return {200, to_line(answer_json(id, query, answer->get(), recommender_.index()))};
    } catch (const RequestError& e) {
      return refusal(status_of(e.kind()), error_json(e), id);
    } catch (const core::UserError& e) {
      return refusal(400, {{"error", e.what()}}, id);
    } catch (const std::exception& e) {
      core::log_error("a request failed: {}", core::failure_text(e, options_.memory_advice));
      return refusal(500, {{"error", "the request failed; the service's log says more"}}, id);
    }
  }

  static HttpAnswer refusal(int status, Json json, const Json& id) {
    if (!id.is_null()) json["id"] = id;
    return {status, to_line(json)};
  }

  const Recommender& recommender_;
  RequestQueue& queue_;
  const ServeOptions& options_;
  std::atomic<std::int64_t> num_answered_{0}, num_refused_{0};
};

/// An error of one batch is its requests' error; the service goes on.
void answer_batch(Recommender& recommender, std::vector<RequestQueue::Waiting>& batch) {
  if (batch.empty()) return;
  try {
    std::vector<Query> queries;
    for (const auto& waiting : batch) queries.push_back(*waiting.query);
    auto answers = recommender.recommend(queries);
    for (size_t i = 0; i < batch.size(); ++i) batch[i].answer.set_value(std::move(answers[i]));
  } catch (...) {
    for (auto& waiting : batch) waiting.answer.set_exception(std::current_exception());
  }
}

void say_where(const HttpServer& server) {
  core::write_output(core::message("listening on http://{}\n", to_string(server.address())));
  if (server.address().is_loopback()) return;
  core::log_warning(
      "{} is no address of this machine alone: whoever reaches it may ask, and read what is asked on the way; there is "
      "neither a password nor encryption. Put a reverse proxy in front of it",
      server.address().host);
}

}  // namespace

void serve(Recommender& recommender, const ServeOptions& options) {
  const core::StopSignals signals;
  RequestQueue queue(options.max_waiting);
  Front front(recommender, queue, options);
  HttpServer server(options.address,
                    {.recommend = [&](const std::string& body) { return front.recommend(body); },
                     .health = [&] { return front.health(); },
                     .page = try_it_page()},
                    {.max_body_bytes = kLongestRequest});
  say_where(server);
  bool is_stopping = false;
  while (!server.has_ended()) {
    auto batch = queue.take(options.batch_size, kSignalsPatience);
    answer_batch(recommender, batch);
    if (is_stopping || signals.received() == 0) continue;
    core::log_info("signal {}: answering what was asked, then leaving", signals.received());
    is_stopping = true;
    server.stop();
  }
  if (!is_stopping) core::fault("the service can take no more connections");
  core::log_info("{} requests answered, {} refused", front.num_answered(), front.num_refused());
}

}  // namespace allreco::recommend
