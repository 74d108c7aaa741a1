// The page: one file that loads nothing, in light and dark, on screens of any width and on paper.
#pragma once
#include <string>
#include <vector>

#include "report/section.h"

namespace allreco::report {

struct PageText {
  std::string title;
  std::string program_version;
  std::vector<std::string> files;  // that lie beside the page
};

/// Well-formed as HTML and as XML. It has no script, and its policy forbids every request.
std::string page_of(const PageText& text, const std::vector<Section>& sections);

}  // namespace allreco::report
