// The Python module of torch's `mtia` device: registers it, and lets Python start it and look into it.

#include "device.h"
#include "operators.h"

namespace at {
REGISTER_MTIA_HOOKS(MTIAHooks);
}

namespace mtia {
namespace {
C10_REGISTER_GUARD_IMPL(MTIA, Guard);
REGISTER_ALLOCATOR(kDevice, &allocator);
}  // namespace
}  // namespace mtia

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  using namespace mtia;
  module.def("start", [](int count, const std::string& mode) {
    device_count = count;
    fallbacks().mode = mode;
  });
  module.def("finish", [] { finished = true; });
  module.def("launched", [](int device, StreamId stream, double us) {
    timelines[checked(DeviceIndex(device))].launched(stream, us);
  });
  module.def("ready", [](int device, StreamId stream) { return timelines[checked(DeviceIndex(device))].ready(stream); });
  module.def("take_written", [] {
    py::list ranges;
    for (const auto& [begin, end] : written.take()) {
      ranges.append(py::make_tuple(begin, end));
    }
    return ranges;
  });
  module.def("set_fallback_mode", [](const std::string& mode) {
    std::lock_guard<std::mutex> lock(fallbacks().mutex);
    return std::exchange(fallbacks().mode, mode);
  });
  module.def("fallbacks", [] {
    py::dict counts;
    std::lock_guard<std::mutex> lock(fallbacks().mutex);
    for (const auto& [name, count] : fallbacks().counts) {
      counts[py::str(name)] = count;
    }
    return counts;
  });
  module.def("reset_fallbacks", [] {
    std::lock_guard<std::mutex> lock(fallbacks().mutex);
    fallbacks().counts.clear();
  });
}
