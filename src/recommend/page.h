// The page that GET / answers with, to try the service by hand.
#pragma once
#include <string>

namespace allreco::recommend {

/// HTML, whole in itself: it loads nothing and asks only POST /recommend of where it came from. Texts of answers are
/// put in as text.
std::string try_it_page();

}  // namespace allreco::recommend
