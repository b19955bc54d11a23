// The operators that a device must have itself (memory, views, copies), and the way to the CPU for all others.
//
// Device memory is host memory: an operator runs on the CPU on an alias of the tensor, in place, views included.
#pragma once

#include <ATen/EmptyTensor.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/_local_scalar_dense_native.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/empty_strided.h>
#include <ATen/ops/resize_native.h>
#include <ATen/ops/set_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_as_complex_native.h>
#include <ATen/ops/view_as_real_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/DeviceGuard.h>
#include <torch/library.h>

#include "device.h"

namespace mtia {

using at::Tensor;

// Count of operators that ran on the CPU, and what to do when it happens.
struct Fallbacks {
  std::mutex mutex;
  std::map<std::string, int64_t> counts;
  std::string mode = "warn";  // warn, quiet or error

  void note(const std::string& name) {
    bool first = false;
    std::string what;
    {
      std::lock_guard<std::mutex> lock(mutex);
      first = ++counts[name] == 1;
      what = mode;
    }
    TORCH_CHECK_NOT_IMPLEMENTED(what != "error", name, " has no kernel for the mtia device, and MTIA_FALLBACK=error ",
                                "forbids running it on the CPU");
    if (first && what == "warn") {
      call<void>("warn_fallback", name);
    }
  }
};

inline Fallbacks& fallbacks() {
  static auto* made = new Fallbacks();
  return *made;
}

inline void note_written(const Tensor& tensor) {
  if (tensor.numel() > 0 && tensor.device().type() == kDevice) {
    auto size = at::detail::computeStorageNbytes(tensor.sizes(), tensor.strides(), tensor.dtype().itemsize());
    written.note(tensor.const_data_ptr(), size);
  }
}

// CPU tensors on the memory of device tensors, for the time of one operator.
class Aliases {
 public:
  Tensor of(const Tensor& tensor) {
    if (!tensor.defined() || tensor.device().type() != kDevice) {
      return tensor;
    }
    TORCH_CHECK(tensor.layout() == at::kStrided, "mtia tensors must be strided, not ", tensor.layout());
    for (const auto& [original, alias] : pairs) {
      if (original.is_same(tensor)) {
        return alias;
      }
    }
    auto alias = at::detail::make_tensor<c10::TensorImpl>(storage_of(tensor.storage()),
                                                          c10::DispatchKeySet(c10::DispatchKey::CPU), tensor.dtype());
    alias.unsafeGetTensorImpl()->set_sizes_and_strides(tensor.sizes(), tensor.strides(), tensor.storage_offset());
    alias._set_conj(tensor.is_conj());
    alias._set_neg(tensor.is_neg());
    device = tensor.device();
    pairs.emplace_back(tensor, alias);
    return alias;
  }

  // The device tensor for what an operator returned.
  Tensor back(const Tensor& result) const {
    if (!result.defined() || result.device().type() != c10::DeviceType::CPU) {
      return result;
    }
    for (const auto& [original, alias] : pairs) {
      if (alias.is_same(result)) {
        return original;
      }
    }
    for (const auto& [original, alias] : storages) {
      if (result.storage().unsafeGetStorageImpl() == alias.unsafeGetStorageImpl()) {
        auto view = at::detail::make_tensor<c10::TensorImpl>(
            c10::Storage(original), c10::DispatchKeySet(c10::DispatchKey::MTIA), result.dtype());
        view.unsafeGetTensorImpl()->set_sizes_and_strides(result.sizes(), result.strides(), result.storage_offset());
        view._set_conj(result.is_conj());
        view._set_neg(result.is_neg());
        return view;
      }
    }
    TORCH_CHECK(result.layout() == at::kStrided, "mtia tensors must be strided, not ", result.layout());
    c10::DeviceGuard guard(device);
    Tensor made = at::detail::empty_strided_generic(result.sizes(), result.strides(), &allocator,
                                                    c10::DispatchKeySet(c10::DispatchKey::MTIA),
                                                    result.scalar_type());
    Aliases().of(made).copy_(result);
    note_written(made);
    return made;
  }

  // Gives device tensors the shape, and contents elsewhere, that an operator gave their aliases.
  void settle() const {
    for (const auto& [original, alias] : pairs) {
      bool moved = alias.storage().data() != original.storage().data();
      if (!moved && alias.sizes() == original.sizes() && alias.strides() == original.strides() &&
          alias.storage_offset() == original.storage_offset()) {
        continue;
      }
      if (moved) {
        c10::DeviceGuard guard(original.device());
        auto size = alias.storage().nbytes();
        auto memory = allocator.allocate(size);
        std::memcpy(memory.get(), alias.storage().data(), size);
        written.note(memory.get(), size);
        original.storage().unsafeGetStorageImpl()->set_data_ptr_noswap(std::move(memory));
        original.storage().unsafeGetStorageImpl()->set_nbytes(size);
      }
      original.unsafeGetTensorImpl()->set_sizes_and_strides(alias.sizes(), alias.strides(), alias.storage_offset());
    }
  }

  c10::Device device{kDevice, current_device};
  std::vector<std::pair<Tensor, Tensor>> pairs;  // device tensor, alias

 private:
  c10::Storage storage_of(const c10::Storage& storage) {
    for (const auto& [original, alias] : storages) {
      if (original.unsafeGetStorageImpl() == storage.unsafeGetStorageImpl()) {
        return alias;
      }
    }
    auto keep = new c10::Storage(storage);
    c10::DataPtr memory(storage.mutable_data(), keep, [](void* kept) { delete static_cast<c10::Storage*>(kept); },
                        c10::Device(c10::DeviceType::CPU));
    c10::Storage alias(c10::Storage::use_byte_size_t(), storage.nbytes(), std::move(memory),
                       c10::GetAllocator(c10::DeviceType::CPU), /*resizable=*/true);
    storages.emplace_back(storage, alias);
    return alias;
  }

  std::vector<std::pair<c10::Storage, c10::Storage>> storages;  // device storage, alias
};

// ---- Operators that run on the CPU ----

inline c10::IValue to_cpu(const c10::IValue& value, Aliases& aliases) {
  if (value.isTensor()) {
    return aliases.of(value.toTensor());
  }
  if (value.isTensorList()) {
    c10::List<Tensor> made;
    for (const Tensor& tensor : value.toTensorList()) {
      made.push_back(aliases.of(tensor));
    }
    return made;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<Tensor>> made;
    for (const std::optional<Tensor> tensor : value.toOptionalTensorList()) {
      made.push_back(tensor ? std::optional<Tensor>(aliases.of(*tensor)) : tensor);
    }
    return made;
  }
  if (value.isDevice() && value.toDevice().type() == kDevice) {
    aliases.device = c10::Device(kDevice, index_of(value.toDevice()));
    return c10::Device(c10::DeviceType::CPU);
  }
  if (value.isGenerator() && value.toGenerator().device().type() == kDevice) {
    return value.toGenerator().get<Random>()->cpu;
  }
  return value;
}

inline c10::IValue to_device(const c10::IValue& value, const Aliases& aliases) {
  if (value.isTensor()) {
    return aliases.back(value.toTensor());
  }
  if (value.isTensorList()) {
    c10::List<Tensor> made;
    for (const Tensor& tensor : value.toTensorList()) {
      made.push_back(aliases.back(tensor));
    }
    return made;
  }
  return value;
}

// Writes of an operator, from its schema.
inline void note_writes(const c10::FunctionSchema& schema, const std::vector<c10::IValue>& arguments) {
  for (size_t number = 0; number < arguments.size(); ++number) {
    const auto* alias = schema.arguments()[number].alias_info();
    if (alias == nullptr || !alias->isWrite()) {
      continue;
    }
    if (arguments[number].isTensor()) {
      note_written(arguments[number].toTensor());
    } else if (arguments[number].isTensorList()) {
      for (const Tensor& tensor : arguments[number].toTensorList()) {
        note_written(tensor);
      }
    }
  }
}

inline void run_on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  auto count = schema.arguments().size();
  auto first = stack->end() - std::ptrdiff_t(count);
  std::vector<c10::IValue> arguments(first, stack->end());
  Aliases aliases;
  for (size_t number = 0; number < count; ++number) {
    first[std::ptrdiff_t(number)] = to_cpu(arguments[number], aliases);
  }
  for (size_t number = 0; number < count; ++number) {
    auto& value = first[std::ptrdiff_t(number)];
    if (value.isNone() && schema.arguments()[number].name() == "generator") {
      value = default_generator(aliases.device.index()).get<Random>()->cpu;
    }
  }
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  aliases.settle();
  note_writes(schema, arguments);
  auto results = stack->end() - std::ptrdiff_t(schema.returns().size());
  for (auto result = results; result != stack->end(); ++result) {
    *result = to_device(*result, aliases);
  }
}

inline void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  fallbacks().note(toString(op.operator_name()));
  run_on_cpu(op, stack);
}

// ---- Memory, views and copies ----

inline Tensor empty(c10::IntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout> layout,
                    std::optional<c10::Device> device, std::optional<bool> pinned,
                    std::optional<at::MemoryFormat> format) {
  TORCH_CHECK(c10::layout_or_default(layout) == at::kStrided, "mtia tensors must be strided");
  TORCH_CHECK(!c10::pinned_memory_or_default(pinned), "only CPU tensors can be pinned");
  c10::DeviceGuard guard({kDevice, index_of(c10::device_or_default(device))});
  return at::detail::empty_generic(size, &allocator, c10::DispatchKeySet(c10::DispatchKey::MTIA),
                                   c10::dtype_or_default(dtype), format);
}

inline Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef stride, std::optional<at::ScalarType> dtype,
                            std::optional<at::Layout> layout, std::optional<c10::Device> device,
                            std::optional<bool> pinned) {
  TORCH_CHECK(c10::layout_or_default(layout) == at::kStrided, "mtia tensors must be strided");
  TORCH_CHECK(!c10::pinned_memory_or_default(pinned), "only CPU tensors can be pinned");
  c10::DeviceGuard guard({kDevice, index_of(c10::device_or_default(device))});
  return at::detail::empty_strided_generic(size, stride, &allocator, c10::DispatchKeySet(c10::DispatchKey::MTIA),
                                           c10::dtype_or_default(dtype));
}

inline Tensor& copy(Tensor& self, const Tensor& source, bool) {
  at::AutoDispatchBelowADInplaceOrView guard;
  Aliases aliases;
  aliases.of(self).copy_(aliases.of(source));
  note_written(self);
  return self;
}

inline Tensor& fill(Tensor& self, const at::Scalar& value) {
  at::AutoDispatchBelowADInplaceOrView guard;
  Aliases().of(self).fill_(value);
  note_written(self);
  return self;
}

inline Tensor& zero(Tensor& self) {
  return fill(self, 0);
}

inline at::Scalar item(const Tensor& self) {
  at::AutoDispatchBelowADInplaceOrView guard;
  return at::native::_local_scalar_dense_cpu(Aliases().of(self));
}

inline const Tensor& resize(const Tensor& self, c10::IntArrayRef size, std::optional<at::MemoryFormat> format) {
  c10::DeviceGuard guard(self.device());
  const auto* before = self.storage().data();
  auto kept = self.storage().nbytes();
  at::native::resize_(self, size, format);
  if (self.storage().data() != before) {
    written.note(self.storage().data(), std::min(kept, self.storage().nbytes()));
  }
  return self;
}

inline Tensor& set_storage(Tensor& self, at::Storage source, int64_t offset, c10::IntArrayRef size,
                           c10::IntArrayRef stride) {
  c10::DeviceGuard guard(self.device());
  return at::native::set_storage_cpu_(self, std::move(source), offset, size, stride);
}

inline void record_stream(Tensor&, at::Stream) {}  // launches are done when they return

}  // namespace mtia

TORCH_LIBRARY_IMPL(aten, MTIA, library) {
  library.impl("empty.memory_format", &mtia::empty);
  library.impl("empty_strided", &mtia::empty_strided);
  library.impl("as_strided", &at::native::as_strided_tensorimpl);
  library.impl("view", &at::native::view);
  library.impl("_reshape_alias", &at::native::_reshape_alias);
  library.impl("unfold", &at::native::unfold);
  library.impl("view_as_real", &at::native::view_as_real);
  library.impl("view_as_complex", &at::native::view_as_complex);
  library.impl("resize_", &mtia::resize);
  library.impl("set_.source_Storage_storage_offset", &mtia::set_storage);
  library.impl("set_.source_Storage", static_cast<at::Tensor& (*)(at::Tensor&, at::Storage)>(&at::native::set_));
  library.impl("set_.source_Tensor", &at::native::set_tensor_);
  library.impl("set_", &at::native::set_cpu_);
  library.impl("copy_", &mtia::copy);
  library.impl("fill_.Scalar", &mtia::fill);
  library.impl("zero_", &mtia::zero);
  library.impl("_local_scalar_dense", &mtia::item);
  library.impl("record_stream", &mtia::record_stream);
  // These would look for a library of the device's own.
  for (const char* name : {"convolution", "convolution_backward"}) {
    library.impl(name, torch::CppFunction::makeFromBoxedFunction<&mtia::fallback>());
  }
}

TORCH_LIBRARY_IMPL(_, MTIA, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&mtia::fallback>());
}
