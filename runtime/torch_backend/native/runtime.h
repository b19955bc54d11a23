// The simulated devices as C++ sees them: memory comes from Python, time is kept here.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/InlineStreamGuard.h>
#include <c10/util/Exception.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace mtia {

namespace py = pybind11;
using c10::DeviceIndex;
using c10::StreamId;

constexpr auto kDevice = c10::DeviceType::MTIA;
constexpr int kMaxDevices = 64;

inline std::atomic<int> device_count{0};
inline std::atomic<bool> finished{false};  // the interpreter is going down: no Python any more

// ---- Python's side: mtia.runtime.torch_backend.simulator ----

inline py::object& simulator() {
  static auto* module = new py::object(py::module_::import("mtia.runtime.torch_backend.simulator"));
  return *module;
}

// Calls a function of the simulator with the GIL held; its errors become torch's.
template <typename Result, typename... Arguments>
Result call(const char* name, Arguments... arguments) {
  py::gil_scoped_acquire gil;
  try {
    py::object result = simulator().attr(name)(arguments...);
    if constexpr (!std::is_void_v<Result>) {
      return result.cast<Result>();
    }
  } catch (py::error_already_set& error) {
    std::string text = py::str(error.value());
    TORCH_CHECK_WITH(OutOfMemoryError, !error.matches(PyExc_MemoryError), text);
    if (error.matches(PyExc_KeyboardInterrupt)) {
      throw;
    }
    TORCH_CHECK(false, text);
  }
  if constexpr (!std::is_void_v<Result>) {
    TORCH_INTERNAL_ASSERT(false, "unreachable");
  }
}

// As `call`, for hooks that hand a new reference to Python.
template <typename... Arguments>
PyObject* call_object(const char* name, Arguments... arguments) {
  py::gil_scoped_acquire gil;
  return call<py::object>(name, arguments...).release().ptr();
}

// ---- Current device and streams, by thread ----

inline thread_local DeviceIndex current_device = 0;
inline thread_local StreamId current_streams[kMaxDevices] = {};

inline DeviceIndex checked(DeviceIndex index) {
  TORCH_CHECK(index >= 0 && index < device_count, "there is no device mtia:", int(index), "; MTIA_DEVICE_COUNT is ",
              device_count.load());
  return index;
}

inline DeviceIndex index_of(c10::Device device) {
  return device.has_index() ? checked(device.index()) : current_device;
}

inline DeviceIndex exchange_device(DeviceIndex index) {
  checked(index);
  return std::exchange(current_device, index);
}

inline c10::Stream stream_of(DeviceIndex index) {
  return c10::Stream(c10::Stream::UNSAFE, c10::Device(kDevice, index), current_streams[checked(index)]);
}

inline c10::Stream exchange_stream(c10::Stream stream) {
  auto before = stream_of(stream.device_index());
  current_streams[stream.device_index()] = stream.id();
  return before;
}

// ---- Simulated time, microseconds ----

// A device runs one launch at a time; a launch starts when its stream's earlier work is done.
class Timeline {
 public:
  void launched(StreamId stream, double microseconds) {
    std::lock_guard<std::mutex> lock(mutex_);
    free_at_ = std::max(free_at_, ready_[stream]) + microseconds;
    ready_[stream] = free_at_;
  }
  double ready(StreamId stream) {
    std::lock_guard<std::mutex> lock(mutex_);
    return std::max(ready_[stream], seen_);
  }
  // The host has waited until then, so what it asks for next cannot be earlier.
  void seen(double until) {
    std::lock_guard<std::mutex> lock(mutex_);
    seen_ = std::max(seen_, until);
  }
  double free_at() {
    std::lock_guard<std::mutex> lock(mutex_);
    return free_at_;
  }
  void wait(StreamId stream, double until) {
    std::lock_guard<std::mutex> lock(mutex_);
    ready_[stream] = std::max(ready_[stream], until);
  }
  StreamId new_stream() {
    std::lock_guard<std::mutex> lock(mutex_);
    return ++last_stream_;
  }

 private:
  std::mutex mutex_;
  double free_at_ = 0;
  double seen_ = 0;
  StreamId last_stream_ = 0;
  std::unordered_map<StreamId, double> ready_;
};

inline Timeline timelines[kMaxDevices];

struct Event {
  DeviceIndex device;
  double at;
};

// ---- What the host has written since the last launch ----

// Address ranges; Python takes them before a launch, because the machine reports reads of what nothing has written.
class Written {
 public:
  void note(const void* start, size_t size) {
    if (size == 0) {
      return;
    }
    auto begin = reinterpret_cast<uintptr_t>(start);
    std::lock_guard<std::mutex> lock(mutex_);
    auto& end = ranges_[begin];
    end = std::max(end, begin + size);
  }
  void forget(uintptr_t begin, size_t size) {
    std::lock_guard<std::mutex> lock(mutex_);
    ranges_.erase(ranges_.lower_bound(begin), ranges_.lower_bound(begin + size));
  }
  std::map<uintptr_t, uintptr_t> take() {
    std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(ranges_, {});
  }

 private:
  std::mutex mutex_;
  std::map<uintptr_t, uintptr_t> ranges_;  // start → end
};

inline Written written;

}  // namespace mtia
