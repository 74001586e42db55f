#include "nn/rope.h"

#include <cmath>
#include <numbers>

#include "base/fail.h"

namespace gale {
namespace {

// A radian a position is usual. Far above it f32 angles mean nothing, and further still they overflow.
constexpr float kFastest = 1000;

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
  const double theta = config.number("rope_theta", 10000.0), share = config.number("partial_rotary_factor", 1.0, 0, 1);
  const int64_t rotated = int64_t(double(head_width) * share) / 2 * 2;
  require(rotated > 0, ErrorCode::corrupt, "{}: nothing to rotate in heads of width {} with \"partial_rotary_factor\" {}",
          config.where(), head_width, share);
  require(theta > 0, ErrorCode::corrupt, "{}: \"rope_theta\" is {}, but it must be above 0", config.where(), theta);
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
  if (factors) {
    require(factors.elements() == rotated / 2, ErrorCode::corrupt,
            "{}: rope_freqs.weight has {} entries, but heads of width {} need {}", config.where(), factors.elements(), head_width,
            rotated / 2);
    for (size_t i = 0; i < frequencies_.size(); ++i) frequencies_[i] /= factors.data<float>()[i];
  }
  for (const float f : frequencies_)
    require(
        f > 0 && f <= kFastest, ErrorCode::corrupt,
        "{}: \"rope_theta\" {} and its scaling give a frequency of {} radians a position, but it must be above 0 and at most {}",
        config.where(), theta, f, kFastest);
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
