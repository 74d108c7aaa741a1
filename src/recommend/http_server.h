// HttpServer: a small HTTP/1.1 service on cpp-httplib, which stays inside http_server.cpp. Everything that a client can
// make it hold has a limit: connections, bytes and seconds of a request, seconds of idling.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "recommend/address.h"
#include "recommend/http_limits.h"

namespace allreco::recommend {

struct HttpAnswer {
  int status = 200;
  std::string json = {};
};

struct HttpHandlers {
  /// Each is called from the threads of connections, several at a time, and may take long.
  std::function<HttpAnswer(const std::string& body)> recommend;  // POST /recommend
  std::function<HttpAnswer()> health;                            // GET /health
  std::string page;                                              // GET /, HTML
};

class HttpServer {
 public:
  /// Listens from here on. UserError when the address cannot be had.
  HttpServer(const Address& address, HttpHandlers handlers, const HttpLimits& limits = {});
  /// Stops, and waits until all connections have ended.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// With the port that it got.
  const Address& address() const;

  /// Returns at once. Connections that are open to the kernel are still taken, then no more; what has been asked is
  /// answered, idle connections are closed.
  void stop();
  /// Whether all connections have ended: after stop(), or because the system gives no more.
  bool has_ended() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace allreco::recommend
