// How collectives join whole numbers of all ranks, element by element.
#pragma once

namespace allreco::dist {

enum class Reduction { sum, minimum, maximum };

}  // namespace allreco::dist
