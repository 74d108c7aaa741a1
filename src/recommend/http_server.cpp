#include "recommend/http_server.h"

#include <httplib.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <exception>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include "core/check.h"
#include "core/json.h"
#include "core/log.h"
#include "recommend/bounded_socket.h"
#include "recommend/connection_threads.h"

namespace allreco::recommend {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kBacklog = 512;  // connections that the kernel holds until they are taken; httplib asks for 5
constexpr milliseconds kTakingTheLast{500};

std::string error_body(const std::string& message) { return core::Json{{"error", message}}.dump(); }

void no_address(std::string& ip, int& port) {  // nobody asks for one
  ip.clear();
  port = 0;
}

/// What httplib::Stream asks for since 0.11; Ubuntu 22.04 has 0.10.
template <class Stream>
class WithLocalAddress : public Stream {
 public:
  void get_local_ip_and_port(std::string& ip, int& port) const override { no_address(ip, port); }
};
template <class Stream>
constexpr bool kAsksForLocalAddress = requires(const Stream& stream, std::string ip, int port) {
  stream.get_local_ip_and_port(ip, port);
};
using Stream =
    std::conditional_t<kAsksForLocalAddress<httplib::Stream>, WithLocalAddress<httplib::Stream>, httplib::Stream>;

/// A connection as httplib reads and writes it, which alone bounds neither the length of a head nor the time that a
/// request takes byte by byte.
class Connection final : public Stream {
 public:
  explicit Connection(BoundedSocket& socket) : socket_(socket) {}
  bool is_readable() const override { return socket_.is_readable(); }
  bool is_writable() const override { return socket_.is_writable(); }
  ssize_t read(char* to, size_t size) override { return socket_.read(to, size); }
  ssize_t write(const char* from, size_t size) override { return socket_.write(from, size); }
  socket_t socket() const override { return socket_.descriptor(); }
  void get_remote_ip_and_port(std::string& ip, int& port) const override { no_address(ip, port); }

 private:
  BoundedSocket& socket_;
};

/// One connection too many stays with the thread that takes connections, which refuses it.
class TaskQueue final : public httplib::TaskQueue {
 public:
  explicit TaskQueue(size_t most) : threads_(most), acceptor_(std::this_thread::get_id()) {}
  void enqueue(std::function<void()> connection) override {
    if (!threads_.start(connection)) connection();
  }
  void shutdown() override { threads_.join(); }
  bool is_acceptor() const { return std::this_thread::get_id() == acceptor_; }

 private:
  ConnectionThreads threads_;
  const std::thread::id acceptor_;
};

const char* method_of(const std::string& path) {
  if (path == "/recommend") return "POST";
  return path == "/" || path == "/health" ? "GET" : nullptr;
}

bool is_allowed(const httplib::Request& request) {
  const char* method = method_of(request.path);
  return method != nullptr && (request.method == method || (request.method == "HEAD" && *method == 'G'));
}

/// The length that the head says, unless it says it in another way than one plain number.
std::optional<size_t> plain_length(const httplib::Request& request) {
  if (request.has_header("Transfer-Encoding") || request.get_header_value_count("Content-Length") > 1)
    return std::nullopt;
  const std::string text = request.get_header_value("Content-Length");
  if (text.empty()) return 0;
  size_t length = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(length) : std::nullopt;
}

/// Set by a handler that leaves bytes of its request's body unread: they must not be taken for the next request.
/// Handlers run on the thread of their connection.
thread_local bool leaves_body_unread = false;

/// Whether the head lets another request follow this one.
bool keeps_connection(const httplib::Request& request, const HttpLimits& limits) {
  const auto length = plain_length(request);
  return is_allowed(request) && length && *length <= (request.method == "POST" ? limits.max_body_bytes : 0);
}

void put(const HttpAnswer& answer, httplib::Response& response) {
  response.status = answer.status;
  response.set_content(answer.json + "\n", "application/json");
  if (answer.status == 503) response.set_header("Retry-After", "1");
}

/// 404 and 405; httplib says 404 and 400, and reads the body first.
httplib::Server::HandlerResponse refuse_unknown(const httplib::Request& request, httplib::Response& response) {
  if (is_allowed(request)) return httplib::Server::HandlerResponse::Unhandled;
  const char* method = method_of(request.path);
  if (method == nullptr) {
    put({404, error_body("there are POST /recommend, GET /health and GET /")}, response);
  } else {
    put({405, error_body(std::string("only ") + method + " is answered here")}, response);
    response.set_header("Allow", *method == 'G' ? "GET, HEAD" : method);
  }
  return httplib::Server::HandlerResponse::Handled;
}

/// Of requests that httplib itself refuses.
void explain(const httplib::Request&, httplib::Response& response) {
  if (!response.body.empty()) return;
  response.set_content(error_body(response.status == 400 ? "the request is malformed, too long, or came too slowly"
                                                         : "the request cannot be answered") +
                           "\n",
                       "application/json");
}

constexpr const char* kPolicy =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

class Server final : public httplib::Server {
 public:
  Server(HttpHandlers handlers, const HttpLimits& limits) : handlers_(std::move(handlers)), limits_(limits) {
    new_task_queue = [this] { return threads_ = new TaskQueue(limits_.max_connections); };
    set_payload_max_length(limits.max_body_bytes);
    set_tcp_nodelay(true);
    set_keep_alive_timeout(std::chrono::duration_cast<std::chrono::seconds>(limits.idle).count());
    set_keep_alive_max_count(1'000'000);      // only shown: process_and_close_socket decides
    set_socket_options([](socket_t socket) {  // without SO_REUSEPORT, by which two servers would share a port unseen
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    set_default_headers({{"X-Content-Type-Options", "nosniff"}, {"Cache-Control", "no-store"}});
    set_pre_routing_handler(&refuse_unknown);
    set_error_handler(httplib::Server::Handler(&explain));
    set_exception_handler([](const httplib::Request&, httplib::Response& response, const auto&) {
      put({500, error_body("the request failed; the service's log says more")}, response);
    });
    set_expect_100_continue_handler([this](const httplib::Request& request, httplib::Response& response) {
      const auto length = plain_length(request);
      if (!length || *length <= limits_.max_body_bytes) return 100;
      put(too_large(), response);
      return 413;
    });
    add_routes();
  }

  /// The port; 0 where it cannot be had. (httplib 0.10 takes no std::string.)
  int bind(const Address& address) {
    if (address.port == 0) return std::max(bind_to_any_port(address.host.c_str()), 0);
    return bind_to_port(address.host.c_str(), address.port) ? address.port : 0;
  }
  void deepen_backlog() { ::listen(svr_sock_, kBacklog); }

  /// Any thread.
  void end() {
    stop_.set();
    const auto deadline = Clock::now() + kTakingTheLast;
    pollfd entry{svr_sock_, POLLIN, 0};
    while (::poll(&entry, 1, 0) > 0 && Clock::now() < deadline) std::this_thread::sleep_for(milliseconds(1));
    httplib::Server::stop();
  }

 private:
  void add_routes() {
    Get("/", [this](const httplib::Request&, httplib::Response& response) {
      response.set_header("Content-Security-Policy", kPolicy);
      response.set_content(handlers_.page, "text/html; charset=utf-8");
    });
    Get("/health", [this](const httplib::Request&, httplib::Response& response) { put(handlers_.health(), response); });
    Post("/recommend", [this](const httplib::Request& request, httplib::Response& response,
                              const httplib::ContentReader& read) { recommend(request, response, read); });
  }

  HttpAnswer too_large() const {
    return {413, error_body(fmt::format("a request may have {} bytes; this one has more", limits_.max_body_bytes))};
  }

  void recommend(const httplib::Request& request, httplib::Response& response, const httplib::ContentReader& read) {
    leaves_body_unread = true;
    response.set_header("Connection", "close");
    if (request.is_multipart_form_data()) return put({415, error_body("the body must be JSON")}, response);
    const auto length = plain_length(request);
    if (length && *length > limits_.max_body_bytes) return put(too_large(), response);
    std::string body;
    bool is_too_large = false;
    const bool is_whole = read([&](const char* bytes, size_t count) {
      is_too_large = count > limits_.max_body_bytes - body.size();
      if (!is_too_large) body.append(bytes, count);
      return !is_too_large;
    });
    if (is_too_large) return put(too_large(), response);
    if (!is_whole) return put({400, error_body("the body ended early, came too slowly, or is malformed")}, response);
    leaves_body_unread = false;
    response.headers.erase("Connection");
    put(handlers_.recommend(body), response);
  }

  bool process_and_close_socket(socket_t socket) override {
    try {
      threads_->is_acceptor() ? refuse(socket) : serve(socket);
    } catch (const std::exception& e) {
      core::log_error("a connection ended: {}", e.what());
    }
    ::close(socket);
    return true;
  }

  void serve(int descriptor) {
    BoundedSocket socket(descriptor, limits_, stop_);
    Connection connection(socket);
    bool is_kept = true;
    while (is_kept && socket.wait_for_request()) {
      socket.begin_request();
      is_kept = leaves_body_unread = false;
      bool is_closed = false;
      const bool is_done = process_request(connection, stop_.is_set(), is_closed, [&](httplib::Request& request) {
        is_kept = keeps_connection(request, limits_);
        request.ranges.clear();  // else a part may be asked for any number of times at once
        if (is_kept) return;
        request.headers.erase("Connection");  // so that the answer says it, too
        request.headers.emplace("Connection", "close");
      });
      is_kept = is_kept && is_done && !is_closed && !leaves_body_unread;
      if (!is_kept) socket.linger();
    }
  }

  /// Waits for nothing: this is the thread that takes connections.
  void refuse(int descriptor) const {
    HttpLimits at_once = limits_;
    at_once.response = at_once.linger = milliseconds(0);
    BoundedSocket socket(descriptor, at_once, stop_);
    const std::string body = error_body("too many connections") + "\n";
    const std::string answer = fmt::format(
        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Type: application/json\r\n"
        "Content-Length: {}\r\n\r\n{}",
        body.size(), body);
    socket.write(answer.data(), answer.size());
    socket.linger();
  }

  const HttpHandlers handlers_;
  const HttpLimits limits_;
  StopEvent stop_;
  TaskQueue* threads_ = nullptr;  // httplib owns it
};

}  // namespace

struct HttpServer::State {
  State(const Address& wanted, HttpHandlers handlers, const HttpLimits& limits)
      : server(std::move(handlers), limits), address(wanted) {}

  Server server;
  Address address;
  std::atomic<bool> has_ended{false};
  std::thread acceptor, stopper;
};

HttpServer::HttpServer(const Address& address, HttpHandlers handlers, const HttpLimits& limits)
    : state_(std::make_unique<State>(address, std::move(handlers), limits)) {
  errno = 0;
  state_->address.port = state_->server.bind(address);
  if (state_->address.port == 0)
    core::user_error("cannot listen on {}: {}", to_string(address),
                     errno == 0 ? "no such address here, or it is taken" : std::strerror(errno));
  state_->acceptor = std::thread([state = state_.get()] {
    state->server.listen_after_bind();
    state->has_ended = true;
  });
  while (!state_->server.is_running() && !state_->has_ended) std::this_thread::sleep_for(milliseconds(1));
  state_->server.deepen_backlog();
}

HttpServer::~HttpServer() {
  stop();
  state_->acceptor.join();
  state_->stopper.join();
}

const Address& HttpServer::address() const { return state_->address; }

void HttpServer::stop() {
  if (!state_->stopper.joinable()) state_->stopper = std::thread([state = state_.get()] { state->server.end(); });
}

bool HttpServer::has_ended() const { return state_->has_ended; }

}  // namespace allreco::recommend
