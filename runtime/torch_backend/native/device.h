// What torch asks a device type for: an allocator, a device guard, generators and the MTIA hooks.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Generator.h>
#include <ATen/detail/MTIAHooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include "runtime.h"

namespace mtia {

// ---- Memory ----

inline void release(void* pointer) {
  if (pointer == nullptr || finished) {
    return;
  }
  try {
    auto size = call<size_t>("release", reinterpret_cast<uintptr_t>(pointer));
    written.forget(reinterpret_cast<uintptr_t>(pointer), size);
  } catch (const std::exception& error) {
    TORCH_WARN("freeing device memory: ", error.what());
  }
}

// Asks the simulator, which keeps what is freed for the next tensor of that size.
struct Allocator final : c10::DeviceAllocator {
  c10::DataPtr allocate(size_t size) override {
    c10::Device device(kDevice, current_device);
    if (size == 0) {
      return {nullptr, device};
    }
    auto* pointer = reinterpret_cast<void*>(call<uintptr_t>("allocate", int(current_device), size));
    return {pointer, pointer, &release, device};
  }
  c10::DeleterFnPtr raw_deleter() const override {
    return &release;
  }
  void copy_data(void* to, const void* from, size_t size) const override {
    default_copy_data(to, from, size);
    written.note(to, size);
  }
  bool initialized() override {
    return true;
  }
  void emptyCache(c10::MempoolId_t = {0, 0}) override {
    call<void>("empty_cache");
  }
  void recordStream(const c10::DataPtr&, c10::Stream) override {}  // launches are done when they return
  void resetAccumulatedStats(DeviceIndex) override {}
  void resetPeakStats(DeviceIndex index) override {
    call<void>("reset_peak", int(index));
  }
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(DeviceIndex index) override {
    py::gil_scoped_acquire gil;
    auto counts = call<py::tuple>("counts", int(index));
    c10::CachingDeviceAllocator::DeviceStats stats;
    auto fill = [&](auto& which, int first) {
      which[0].current = counts[first].cast<int64_t>();
      which[0].peak = counts[first + 1].cast<int64_t>();
    };
    fill(stats.allocated_bytes, 0);
    fill(stats.active_bytes, 0);
    fill(stats.requested_bytes, 0);
    fill(stats.reserved_bytes, 2);
    stats.num_ooms = counts[4].cast<int64_t>();
    return stats;
  }
  std::pair<size_t, size_t> getMemoryInfo(DeviceIndex index) override {
    py::gil_scoped_acquire gil;
    auto info = call<py::tuple>("memory_info", int(index));
    return {info[0].cast<size_t>(), info[1].cast<size_t>()};
  }
};

inline Allocator allocator;

// Host memory that says it is pinned: the device reaches all of the host's, so pinning changes nothing.
struct PinnedAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t size) override {
    auto memory = c10::GetAllocator(c10::DeviceType::CPU)->allocate(size);
    auto* pointer = memory.release_context();
    if (pointer != nullptr) {
      std::lock_guard<std::mutex> lock(mutex());
      ranges()[reinterpret_cast<uintptr_t>(pointer)] = size;
    }
    return {pointer, pointer, &release, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override {
    return &release;
  }
  void copy_data(void* to, const void* from, size_t size) const override {
    default_copy_data(to, from, size);
  }
  static bool owns(const void* pointer) {
    std::lock_guard<std::mutex> lock(mutex());
    auto after = ranges().upper_bound(reinterpret_cast<uintptr_t>(pointer));
    return after != ranges().begin() &&
           reinterpret_cast<uintptr_t>(pointer) < std::prev(after)->first + std::prev(after)->second;
  }

 private:
  static void release(void* pointer) {
    {
      std::lock_guard<std::mutex> lock(mutex());
      ranges().erase(reinterpret_cast<uintptr_t>(pointer));
    }
    if (pointer != nullptr) {
      c10::GetAllocator(c10::DeviceType::CPU)->raw_deallocate(pointer);
    }
  }
  static std::mutex& mutex() {
    static auto* made = new std::mutex();
    return *made;
  }
  static std::map<uintptr_t, size_t>& ranges() {
    static auto* made = new std::map<uintptr_t, size_t>();
    return *made;
  }
};

inline PinnedAllocator pinned;

// ---- Devices, streams, events ----

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override {
    return kDevice;
  }
  c10::Device exchangeDevice(c10::Device device) const override {
    return {kDevice, device.has_index() ? exchange_device(device.index()) : current_device};
  }
  c10::Device getDevice() const override {
    return {kDevice, current_device};
  }
  void setDevice(c10::Device device) const override {
    exchangeDevice(device);
  }
  void uncheckedSetDevice(c10::Device device) const noexcept override {
    current_device = device.has_index() ? device.index() : current_device;
  }
  c10::Stream getStream(c10::Device device) const override {
    return stream_of(index_of(device));
  }
  c10::Stream getDefaultStream(c10::Device device) const override {
    return c10::Stream(c10::Stream::DEFAULT, c10::Device(kDevice, index_of(device)));
  }
  c10::Stream getStreamFromGlobalPool(c10::Device device, bool) const override {
    return getNewStream(device, 0);
  }
  c10::Stream getNewStream(c10::Device device, int) const override {
    auto index = index_of(device);
    return c10::Stream(c10::Stream::UNSAFE, c10::Device(kDevice, index), timelines[index].new_stream());
  }
  c10::Stream exchangeStream(c10::Stream stream) const override {
    return exchange_stream(stream);
  }
  void* getStreamNativeHandle(const c10::Stream stream) const override {
    return reinterpret_cast<void*>(stream.id());
  }
  DeviceIndex deviceCount() const noexcept override {
    return DeviceIndex(device_count.load());
  }
  void destroyEvent(void* event, const DeviceIndex) const noexcept override {
    delete static_cast<Event*>(event);
  }
  void record(void** event, const c10::Stream& stream, const DeviceIndex, const c10::EventFlag) const override {
    if (*event == nullptr) {
      *event = new Event();
    }
    *static_cast<Event*>(*event) = {stream.device_index(), timelines[stream.device_index()].ready(stream.id())};
  }
  void block(void* event, const c10::Stream& stream) const override {
    if (event != nullptr) {
      timelines[stream.device_index()].wait(stream.id(), static_cast<Event*>(event)->at);
    }
  }
  bool queryEvent(void*) const override {
    return true;
  }
  void synchronizeEvent(void* event) const override {
    if (event != nullptr) {
      auto* recorded = static_cast<Event*>(event);
      timelines[recorded->device].seen(recorded->at);
    }
  }
  bool queryStream(const c10::Stream&) const override {
    return true;
  }
  void synchronizeStream(const c10::Stream& stream) const override {
    auto& timeline = timelines[stream.device_index()];
    timeline.seen(timeline.ready(stream.id()));
  }
  void synchronizeDevice(const DeviceIndex index) const override {
    timelines[index].seen(timelines[index].free_at());
  }
  double elapsedTime(void* first, void* second, const DeviceIndex) const override {
    TORCH_CHECK(first != nullptr && second != nullptr, "both events must be recorded before their time is taken");
    return (static_cast<Event*>(second)->at - static_cast<Event*>(first)->at) / 1e3;
  }
};

// ---- Random numbers ----

// Wraps the CPU generator that the operators use: the same numbers as on the CPU for the same seed.
struct Random final : c10::GeneratorImpl {
  explicit Random(DeviceIndex index, uint64_t seed = c10::default_rng_seed_val)
      : Random(index, at::detail::createCPUGenerator(seed)) {}
  Random(DeviceIndex index, at::Generator generator)
      : c10::GeneratorImpl({kDevice, index}, c10::DispatchKeySet(c10::DispatchKey::MTIA)), cpu(std::move(generator)) {}
  static c10::DeviceType device_type() {
    return kDevice;
  }
  void set_current_seed(uint64_t seed) override {
    cpu.set_current_seed(seed);
  }
  void set_offset(uint64_t offset) override {
    cpu.set_offset(offset);
  }
  uint64_t get_offset() const override {
    return cpu.get_offset();
  }
  uint64_t current_seed() const override {
    return cpu.current_seed();
  }
  uint64_t seed() override {
    return cpu.seed();
  }
  void set_state(const c10::TensorImpl& state) override {
    cpu.unsafeGetGeneratorImpl()->set_state(state);
  }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override {
    return cpu.unsafeGetGeneratorImpl()->get_state();
  }
  Random* clone_impl() const override {
    return new Random(device().index(), cpu.clone());
  }

  at::Generator cpu;
};

inline const at::Generator& default_generator(DeviceIndex index) {
  static auto* generators = new std::vector<at::Generator>(kMaxDevices);
  static std::mutex mutex;
  std::lock_guard<std::mutex> lock(mutex);
  auto& generator = (*generators)[checked(index < 0 ? current_device : index)];
  if (!generator.defined()) {
    generator = at::make_generator<Random>(index < 0 ? current_device : index);
  }
  return generator;
}

}  // namespace mtia

// torch finds the hooks by exactly this class name.
namespace at {

struct MTIAHooks final : MTIAHooksInterface {
  void init() const override {
    mtia::call<void>("init");
  }
  bool isBuilt() const override {
    return true;
  }
  bool isAvailable() const override {
    return mtia::device_count > 0;
  }
  bool hasMTIA() const override {
    return mtia::device_count > 0;
  }
  std::string showConfig() const override {
    return "MTIA simulator\n";
  }
  bool hasPrimaryContext(DeviceIndex index) const override {
    return index >= 0 && index < mtia::device_count;
  }
  DeviceIndex deviceCount() const override {
    return DeviceIndex(mtia::device_count.load());
  }
  DeviceIndex getDeviceCount() const override {
    return deviceCount();
  }
  void deviceSynchronize(DeviceIndex index) const override {
    mtia::timelines[index].seen(mtia::timelines[index].free_at());
  }
  void setCurrentDevice(DeviceIndex index) const override {
    mtia::exchange_device(index);
  }
  DeviceIndex getCurrentDevice() const override {
    return mtia::current_device;
  }
  DeviceIndex exchangeDevice(DeviceIndex index) const override {
    return index < 0 ? DeviceIndex(-1) : mtia::exchange_device(index);
  }
  DeviceIndex maybeExchangeDevice(DeviceIndex index) const override {
    return exchangeDevice(index);
  }
  c10::Stream getCurrentStream(DeviceIndex index) const override {
    return mtia::stream_of(index);
  }
  int64_t getCurrentRawStream(DeviceIndex index) const override {
    return mtia::stream_of(index).id();
  }
  c10::Stream getDefaultStream(DeviceIndex index) const override {
    return c10::Stream(c10::Stream::DEFAULT, c10::Device(mtia::kDevice, mtia::checked(index)));
  }
  void setCurrentStream(const c10::Stream& stream) const override {
    mtia::exchange_device(stream.device_index());
    mtia::exchange_stream(stream);
  }
  bool isPinnedPtr(const void* data) const override {
    return mtia::PinnedAllocator::owns(data);
  }
  Allocator* getPinnedMemoryAllocator() const override {
    return &mtia::pinned;
  }
  Device getDeviceFromPtr(void* data) const override {
    return {mtia::kDevice, DeviceIndex(mtia::call<int>("device_of", reinterpret_cast<uintptr_t>(data)))};
  }
  PyObject* memoryStats(DeviceIndex index) const override {
    return mtia::call_object("memory_stats", int(index));
  }
  PyObject* getDeviceCapability(DeviceIndex index) const override {
    return mtia::call_object("capability", int(index));
  }
  PyObject* getDeviceProperties(DeviceIndex index) const override {
    return mtia::call_object("properties", int(mtia::checked(index)));
  }
  void emptyCache() const override {
    mtia::call<void>("empty_cache");
  }
  void recordMemoryHistory(const std::optional<std::string>& enabled, const std::string& stacks,
                           size_t entries) const override {
    pybind11::gil_scoped_acquire gil;
    pybind11::object which = enabled ? pybind11::object(pybind11::str(*enabled)) : pybind11::none();
    mtia::call<void>("record_history", which, stacks, entries);
  }
  PyObject* memorySnapshot(const std::optional<std::string>&) const override {
    return mtia::call_object("snapshot");
  }
  void resetPeakMemoryStats(DeviceIndex index) const override {
    mtia::call<void>("reset_peak", int(index));
  }
  void attachOutOfMemoryObserver(PyObject* observer) const override {
    pybind11::gil_scoped_acquire gil;
    mtia::call<void>("attach_observer", pybind11::reinterpret_borrow<pybind11::object>(observer));
  }
  int64_t mtiagraphCreate(bool) const override {
    TORCH_CHECK(false, "the simulated MTIA device has no graph capture");
  }
  const Generator& getDefaultGenerator(DeviceIndex index) const override {
    return mtia::default_generator(index);
  }
  Generator getNewGenerator(DeviceIndex index) const override {
    return at::make_generator<mtia::Random>(index < 0 ? mtia::current_device : index);
  }
};

}  // namespace at
