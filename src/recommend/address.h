// Address: where the service listens.
#pragma once
#include <string>

namespace allreco::recommend {

struct Address {
  std::string host;  // a name or a number; of IPv6 without brackets
  int port = 0;      // 0: any that is free
  bool is_loopback() const;
};
/// host:port, [host]:port. UserError for anything else.
Address parse_address(const std::string& text);
/// The other way round.
std::string to_string(const Address& address);

}  // namespace allreco::recommend
