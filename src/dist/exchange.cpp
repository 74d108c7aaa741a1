#include "dist/exchange.h"

#include "dist/control_plane.h"

namespace allreco::dist {

Exchange::Exchange(Session& session) : session_(session) {
  if (session.world_size() > 1) plane_ = std::make_unique<ControlPlane>(session.watchdog());
}

Exchange::~Exchange() = default;

void Exchange::all_reduce(std::vector<std::int64_t>& values, Reduction reduction) {
  if (plane_) plane_->all_reduce(values, reduction);
}

std::vector<std::string> Exchange::all_to_all(const std::vector<std::string>& texts) {
  return plane_ ? plane_->all_to_all(texts) : texts;
}

void Exchange::leave_if_peer_failed() { session_.watchdog().leave_if_peer_failed(); }

}  // namespace allreco::dist
