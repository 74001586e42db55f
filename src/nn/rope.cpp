#include "nn/rope.h"

#include <cmath>
#include <numbers>

#include "base/fail.h"

namespace gale {
namespace {

// Llama 3.1: long wavelengths are slowed by `factor`, short ones kept, a ramp between (Meta's apply_scaling in llama-models).
void scale_llama3(std::vector<float>& frequencies, const Config& scaling) {
  const float factor = float(scaling.number("factor"));
  const float low = float(scaling.number("low_freq_factor")), high = float(scaling.number("high_freq_factor"));
  const float context = float(scaling.integer("original_max_position_embeddings"));
  require(factor > 0 && high > low, ErrorCode::corrupt,
          "{}: factor {} must be positive and high_freq_factor {} above low_freq_factor {}", scaling.where(), factor, high, low);
  for (float& f : frequencies) {
    const float wavelength = 2 * std::numbers::pi_v<float> / f;
    if (wavelength > context / low) {
      f = f / factor;
    } else if (wavelength >= context / high) {
      const float smooth = (context / wavelength - low) / (high - low);
      f = (1 - smooth) * f / factor + smooth * f;
    }
  }
}

}  // namespace

Rope::Rope(const Config& config, int64_t head_width, const Tensor& factors, RopeStyle style) : style_(style) {
  const double theta = config.number("rope_theta", 10000.0);
  const int64_t rotated = int64_t(double(head_width) * config.number("partial_rotary_factor", 1.0)) / 2 * 2;
  require(theta > 0 && rotated > 0 && rotated <= head_width, ErrorCode::corrupt,
          "{}: rope_theta {} or partial_rotary_factor is out of range", config.where(), theta);
  for (int64_t i = 0; i < rotated / 2; ++i) frequencies_.push_back(1.0f / float(std::pow(theta, float(2 * i) / float(rotated))));
  const Config scaling = config.child("rope_scaling");
  const std::string type = scaling.text("rope_type", scaling.text("type", "default"));
  if (type == "linear") {
    const float factor = float(scaling.number("factor"));
    require(factor > 0, ErrorCode::corrupt, "{}: factor {} must be positive", scaling.where(), factor);
    for (float& f : frequencies_) f /= factor;
  } else if (type == "llama3") {
    scale_llama3(frequencies_, scaling);
  } else {
    require(type == "default", ErrorCode::unsupported, "{}: rope_type \"{}\" is not known; default, linear and llama3 are",
            scaling.where(), type);
  }
  if (!factors) return;
  require(factors.elements() == rotated / 2, ErrorCode::corrupt,
          "rope_freqs.weight has {} entries, but heads of width {} need {}", factors.elements(), head_width, rotated / 2);
  for (size_t i = 0; i < frequencies_.size(); ++i) frequencies_[i] /= factors.data<float>()[i];
}

RopeRows Rope::rows(Ctx& ctx, const Batch& batch) const {
  const int64_t rows = batch.rows(), half = int64_t(frequencies_.size());
  RopeRows out{ctx.tensor({rows, half}), ctx.tensor({rows, half})};
  if (ctx.measuring()) return out;
  ctx.pool.for_each(rows, 16, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t i = 0; i < half; ++i) {
        const float angle = float(batch.positions[size_t(r)]) * frequencies_[size_t(i)];
        out.cosines.data<float>()[r * half + i] = std::cos(angle);
        out.sines.data<float>()[r * half + i] = std::sin(angle);
      }
  });
  return out;
}

}  // namespace gale
