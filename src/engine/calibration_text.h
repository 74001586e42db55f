#pragma once
#include <string_view>

namespace gale {

/// What gptq2 to gptq8 are calibrated by where nobody names a text: a little of the kinds of text that most models know.
std::string_view calibration_text();

}  // namespace gale
