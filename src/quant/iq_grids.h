#pragma once
#include <cstdint>

namespace gale {

/// The codebooks of GGUF's iq1, iq2 and iq3 types: points of 8 values, 2 bits each from the lowest on, or of 4 values of 4 bits,
/// counted in the order of their sizes.
extern const uint16_t kGridIq1[2048];
extern const uint16_t kGridIq2Xxs[256], kGridIq2Xs[512], kGridIq2S[1024];
extern const uint16_t kGridIq3Xxs[256], kGridIq3S[512];

}  // namespace gale
