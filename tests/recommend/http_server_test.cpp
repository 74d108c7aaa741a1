#include "recommend/http_server.h"

#include <gtest/gtest.h>

#include "core/check.h"

namespace allreco::recommend {
namespace {

TEST(HttpServer, AnAddressThatIsTakenIsRefused) {
  const HttpHandlers handlers{[](const std::string&) { return HttpAnswer{}; }, [] { return HttpAnswer{}; }, ""};
  const HttpServer first({"127.0.0.1", 0}, handlers);
  EXPECT_GT(first.address().port, 0);
  EXPECT_THROW(HttpServer(first.address(), handlers), core::UserError);
  EXPECT_THROW(HttpServer({"no.such.host.invalid", 80}, handlers), core::UserError);
}

}  // namespace
}  // namespace allreco::recommend
