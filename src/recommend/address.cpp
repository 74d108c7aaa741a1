#include "recommend/address.h"

#include <charconv>

#include "core/check.h"

namespace allreco::recommend {

bool Address::is_loopback() const { return host == "localhost" || host == "::1" || host.starts_with("127."); }

Address parse_address(const std::string& text) {
  const size_t colon = text.rfind(':');
  Address address{text.substr(0, colon)};
  const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  const bool is_bracketed = address.host.starts_with('[') && address.host.ends_with(']');
  if (is_bracketed) address.host = address.host.substr(1, address.host.size() - 2);
  if (address.host.empty() || port.empty() || error != std::errc() || end != port.data() + port.size() ||
      address.port < 0 || address.port > 65535 || (!is_bracketed && address.host.find(':') != std::string::npos))
    core::user_error("{} is no address: HOST:PORT is expected, such as 127.0.0.1:8080; port 0 means any that is free",
                     text.empty() ? "\"\"" : text);
  return address;
}

std::string to_string(const Address& address) {
  return address.host.find(':') == std::string::npos ? fmt::format("{}:{}", address.host, address.port)
                                                     : fmt::format("[{}]:{}", address.host, address.port);
}

}  // namespace allreco::recommend
