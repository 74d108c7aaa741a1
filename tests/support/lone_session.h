// The session of a test that is no rank of a run.
#pragma once
#include "dist/session.h"

namespace allreco::support {

/// A session of one process without a launcher.
class LoneSession {
 public:
  LoneSession() : session_(argc_, argv_) {}
  dist::Session& get() { return session_; }

 private:
  char name_[5] = "test";
  char* arguments_[2] = {name_, nullptr};
  int argc_ = 1;
  char** argv_ = arguments_;
  dist::Session session_;
};

}  // namespace allreco::support
