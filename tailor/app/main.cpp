// tailor: the one place where errors are caught. What the verbs are: arguments.cpp; what they do: verb_*.cpp.
#include "tailor/app/app.h"
#include "tailor/base/interrupt.h"
#include "tailor/base/memory.h"

#include <csignal>
#include <exception>
#include <new>

int main(int count, char** arguments) {
  using namespace tailor;
  catch_interrupts();
  keep_freed_memory();
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is a failed write, not a death
  app::Global global;
  static_cast<console::Voice&>(global) = console::first_look(count, arguments);
  try {
    return app::run(count, arguments, global);
  } catch (const Error& error) {
    return app::report(global, error);
  } catch (const std::bad_alloc&) {
    return app::report(global, Error(Code::bug, "out of memory"));
  } catch (const std::exception& error) {
    return app::report(global, Error(Code::bug, error.what()));
  }
}
