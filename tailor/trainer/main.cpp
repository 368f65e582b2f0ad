// tailor-learn: the one place where its errors are caught. What the verbs are: arguments.cpp; what they do: verb_*.cpp.
#include "tailor/base/interrupt.h"
#include "tailor/base/memory.h"
#include "tailor/trainer/trainer.h"

#include <csignal>
#include <exception>
#include <new>

int main(int count, char** arguments) {
  using namespace tailor;
  catch_interrupts();
  keep_freed_memory();
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is a failed write, not a death
  console::Voice voice = console::first_look(count, arguments);
  try {
    return trainer::run(count, arguments, voice);
  } catch (const Error& error) {
    return console::report(voice, error);
  } catch (const std::bad_alloc&) {
    return console::report(voice, Error(Code::bug, "out of memory"));
  } catch (const std::exception& error) {
    return console::report(voice, Error(Code::bug, error.what()));
  }
}
