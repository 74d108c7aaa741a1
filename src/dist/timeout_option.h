// ddp_timeout: the option of every command whose ranks wait for each other (Session::set_timeout).
#pragma once
#include "core/options.h"

namespace allreco::dist {

inline core::Option timeout_option(double& seconds) {
  return {"ddp_timeout", seconds, core::between(0.1, 1e9),
          "Seconds that a rank waits for another before the run ends."};
}

}  // namespace allreco::dist
