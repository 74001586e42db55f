#include "engine/importance.h"

#include <algorithm>
#include <unordered_map>

#include "checkpoint/gguf_names.h"
#include "checkpoint/hf_experts.h"
#include "engine/open_engine.h"
#include "engine/runtime.h"
#include "kernels/watch.h"

namespace gale {

class Calibration::Collector final : public InputWatch {
 public:
  explicit Collector(const std::vector<LoadedWeight>& weights) {
    for (const LoadedWeight& w : weights) {
      const void* key = w.matrix ? static_cast<const void*>(w.matrix.get()) : w.experts.get();
      const int64_t matrices = w.experts ? w.experts->experts : 1;
      const int64_t columns = w.experts ? w.experts->stacked.columns : w.matrix->columns;
      sums_.try_emplace(
          key, Sums{w.name, columns, std::vector<double>(size_t(matrices * columns)), std::vector<double>(size_t(matrices))});
    }
  }

  void matrix(const PackedMatrix& w, const Tensor& x) override {
    if (const auto found = sums_.find(&w); found != sums_.end())
      for (int64_t row = 0; row < x.dim(0); ++row) found->second.add(0, x.data<float>() + row * w.columns);
  }
  void experts(const ExpertMatrix& w, const Tensor& x, const int32_t* source, const Routing& routing) override {
    const auto found = sums_.find(&w);
    if (found == sums_.end()) return;
    const int32_t* begin = routing.begin.data<int32_t>();
    for (int64_t e = 0; e < routing.experts; ++e)
      for (int64_t pair = begin[e]; pair < begin[e + 1]; ++pair)
        found->second.add(e, x.data<float>() + (source ? source[pair] : pair) * w.stacked.columns);
  }

  /// An embedding that is no head has seen nothing: it gets no entry.
  ImportanceMatrix take(bool module_names) const {
    ImportanceMatrix out;
    for (const auto& [key, sums] : sums_) {
      if (std::ranges::all_of(sums.counts, [](double n) { return n == 0; })) continue;
      const std::optional<std::string> gguf = module_names ? std::nullopt : gguf_tensor_name(sums.name + ".weight");
      out.entries[gguf.value_or(sums.name)] = {{sums.squares.begin(), sums.squares.end()},
                                               {sums.counts.begin(), sums.counts.end()}};
    }
    return out;
  }

 private:
  struct Sums {
    std::string name;
    int64_t columns;
    std::vector<double> squares, counts;  // [matrices, columns], [matrices]

    void add(int64_t i, const float* row) {
      double* to = squares.data() + i * columns;
      for (int64_t c = 0; c < columns; ++c) to[c] += double(row[c]) * double(row[c]);
      ++counts[size_t(i)];
    }
  };
  std::unordered_map<const void*, Sums> sums_;
};

std::vector<float> Importance::of(std::string_view name, int64_t expert, int64_t columns) const {
  const auto one = expert_name(std::string(name) + ".weight");
  const std::string full = one ? one->fused : std::string(name) + ".weight";
  const std::string_view module = std::string_view(full).substr(0, full.size() - 7);
  const std::optional<int64_t> i = one ? std::optional(one->expert) : expert >= 0 ? std::optional(expert) : std::nullopt;
  const std::optional<std::string> gguf = gguf_tensor_name(full);
  for (const std::string_view known : {std::string_view(gguf ? *gguf : full), std::string_view(full), module})
    if (std::vector<float> out = matrix_->means(known, i, columns); !out.empty()) return out;
  return one ? matrix_->means(name, std::nullopt, columns) : std::vector<float>();  // an entry of its own
}

Calibration::Calibration(const EngineOptions& options) {
  Runtime runtime = load_runtime(options);
  collector_ = std::make_unique<Collector>(runtime.weights);
  runtime.watch = collector_.get();
  runtime.names.reset();  // every row must be seen, also what two texts have in common
  engine_ = start_engine(options, std::move(runtime));
}
Calibration::~Calibration() = default;

ImportanceMatrix Calibration::importance(bool module_names) const { return collector_->take(module_names); }

}  // namespace gale
