#include "core/check.h"

namespace allreco::core {

void require(bool condition, const char* message, const char* file, int line) {
  if (!condition) fault("{} ({}:{})", message, file, line);
}

}  // namespace allreco::core
