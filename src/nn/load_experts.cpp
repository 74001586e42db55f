#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>

#include "base/fail.h"
#include "nn/weights.h"
#include "quant/arranged.h"

namespace gale {
namespace {

// One expert of a fused tensor, as a group of its own. Of what lies beside it (NVFP4's scales) it takes its own entry where there
// is one for each expert.
struct FusedExpert {
  std::map<std::string, RawTensor, std::less<>> tensors;
  TensorGroup group;

  FusedExpert(const TensorGroup& fused, int64_t expert) : group(fused) {
    const int64_t experts = fused.part("weight")->shape[0];
    for (auto& [suffix, part] : group.parts) {
      RawTensor& own = tensors[suffix] = *part;
      part = &own;
      const Shape& shape = own.shape;
      if (shape.rank() == 0 || shape[0] != experts) continue;
      const size_t bytes = own.bytes.size() / size_t(experts);
      own.source += fmt::format(", expert {}", expert);
      own.bytes = own.bytes.subspan(size_t(expert) * bytes, bytes);
      own.shape = shape.rank() == 3 ? Shape{shape[1], shape[2]} : shape.rank() == 2 ? Shape{shape[1]} : Shape{};
    }
  }
};

}  // namespace

std::shared_ptr<const ExpertMatrix> Loader::experts(const std::string& below, std::string_view name, const ExpertsShape& shape) {
  const TensorGroup fused = group_of(*checkpoint_, fmt::format("{}.{}", below, name));
  std::vector<Source> sources;
  if (!fused.parts.empty()) {
    const RawTensor* whole = fused.part("weight");
    if (whole == nullptr || whole->shape != Shape{shape.experts, shape.out, shape.in}) {
      problems_.push_back(fmt::format("{} is {}, but the config asks for [{}, {}, {}]", fused.name,
                                      whole ? whole->shape.text() : "in several parts", shape.experts, shape.out, shape.in));
      return nullptr;
    }
    sources.push_back(source_of(fused, shape.experts * shape.out, shape.in));
    if (is_arranged(fused) && sources.front().target == nullptr) return arranged_experts(*whole, shape);
  } else if (!find_experts(below, name, shape, sources)) {
    return nullptr;
  }
  ExpertMatrix all{.stacked = {}, .experts = shape.experts, .out = shape.out, .orders = {}};
  all.stacked = packed_shape(sources.front().layout, shape.experts * all.panels() * kPanelRows, shape.in, shape.experts);
  if (!options_.shape_only) all.stacked.data = place(all.stacked.bytes());
  for (int64_t e = 0; e < shape.experts && !options_.shape_only; ++e) {
    const Source& from = sources[fused.parts.empty() ? size_t(e) : 0];
    PackedMatrix own = all.one(e);
    const bool apart = fused.parts.empty();
    pack(apart ? from.group : FusedExpert(fused, e).group, *from.format, from.target, apart ? -1 : e, own);
  }
  if (fused.parts.empty()) all.orders = orders_of(sources, shape.in);
  const Source& first = sources.front();
  const RawTensor* whole = first.group.part("weight");
  made(fmt::format("{}.{}.weight", below, name), {shape.experts, shape.out, shape.in},
       first.target ? first.target->stored
       : whole      ? whole->type
                    : first.group.parts.begin()->second->type,
       all.stacked, all.orders);
  return keep(fmt::format("{}.{}", below, name), first.target ? first.target->name : first.format->name, std::move(all));
}

std::shared_ptr<const ExpertMatrix> Loader::keep(std::string name, std::string_view format, ExpertMatrix&& all) {
  auto out = std::make_shared<const ExpertMatrix>(std::move(all));
  loaded_.push_back({std::move(name), std::string(format), nullptr, out});
  return out;
}

std::shared_ptr<const ExpertMatrix> Loader::arranged_experts(const RawTensor& tensor, const ExpertsShape& shape) {
  ExpertMatrix all{.stacked = {}, .experts = shape.experts, .out = shape.out, .orders = {}};
  all.stacked = arranged(tensor, shape.experts * all.panels() * kPanelRows, shape.in, shape.experts);
  made(tensor.name, tensor.shape, tensor.type, all.stacked, {});
  constexpr std::string_view kWeight = ".weight";
  return keep(tensor.name.substr(0, tensor.name.size() - kWeight.size()), tensor_type_info(tensor.type).name, std::move(all));
}

StorageRef Loader::orders_of(const std::vector<Source>& experts, int64_t columns) {
  std::vector<StorageRef> orders;
  for (const Source& from : experts) orders.push_back(order_as_packed(from.group, *from.format, from.target));
  if (std::ranges::none_of(orders, [](const StorageRef& order) { return bool(order); })) return {};
  StorageRef out = heap_storage(orders.size() * size_t(columns) * sizeof(int32_t));
  auto* to = reinterpret_cast<int32_t*>(out->data());
  for (const StorageRef& order : orders) {
    if (order)
      std::memcpy(to, order->data(), size_t(columns) * sizeof(int32_t));
    else
      std::iota(to, to + columns, 0);
    to += columns;
  }
  return out;
}

bool Loader::find_experts(const std::string& below, std::string_view name, const ExpertsShape& shape, std::vector<Source>& out) {
  for (int64_t e = 0; e < shape.experts; ++e) {
    const TensorGroup group = group_of(*checkpoint_, fmt::format("{}.{}.{}", below, e, name));
    if (group.parts.empty()) {
      note_missing(fmt::format("{}.weight, the first of {} experts,", group.name, shape.experts - e));
      return false;
    }
    if (const auto [r, c] = format_of(group).shape(group); r != shape.out || c != shape.in) {
      problems_.push_back(fmt::format("{} is [{}, {}], but the config asks for [{}, {}]", group.name, r, c, shape.out, shape.in));
      return false;
    }
    out.push_back(source_of(group, shape.out, shape.in));
    if (out.back().layout != out.front().layout) {
      problems_.push_back(fmt::format("{} has the layout {}, expert 0 has {}; give all of them one type with --quant", group.name,
                                      out.back().layout.name(), out.front().layout.name()));
      return false;
    }
  }
  return true;
}

Loader::Source Loader::source_of(const TensorGroup& group, int64_t rows, int64_t columns) {
  for (const auto& [part, tensor] : group.parts) {
    used_.insert(tensor->name);
    file_bytes_ += tensor->own_bytes();
  }
  const Format& format = format_of(group);
  const Format* target = options_.requantize ? options_.requantize(group.name, rows, columns) : nullptr;
  Source out{group, &format, target, target ? layout_as(*target, rows, columns) : format.layout(group)};
  note_widened(group, target, out.layout, rows * columns);
  return out;
}

std::shared_ptr<const ExpertMatrix> Weights::experts(std::string_view name, const ExpertsShape& shape) const {
  return loader_->experts(prefix_, name, shape);
}

}  // namespace gale
