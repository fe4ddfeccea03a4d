/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "vmm/base/terminal.h"

struct screen {
    int master, slave;
    struct termios before;
    struct log log;
    struct terminal *terminal;
    unsigned int quits;
};

static void count_quit(void *context)
{
    struct screen *screen = context;

    screen->quits++;
}

static void make_terminal(struct screen *screen, int fd)
{
    struct error error = ERROR_INIT;

    assert_int_equal(terminal_create(&screen->terminal, fd, &screen->log, &error), 0);
    terminal_on_quit(screen->terminal, count_quit, screen);
}

static int set_up(void **state)
{
    struct screen *screen = calloc(1, sizeof(*screen));
    char name[64];

    screen->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(screen->master >= 0);
    assert_int_equal(grantpt(screen->master), 0);
    assert_int_equal(unlockpt(screen->master), 0);
    assert_int_equal(ptsname_r(screen->master, name, sizeof(name)), 0);
    screen->slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(screen->slave >= 0);
    assert_int_equal(tcgetattr(screen->slave, &screen->before), 0);
    assert_int_equal(fcntl(screen->master, F_SETFL, O_NONBLOCK), 0);
    screen->log = memory_log(LOG_INFO);
    make_terminal(screen, screen->slave);
    *state = screen;
    return 0;
}

static int tear_down(void **state)
{
    struct screen *screen = *state;

    terminal_destroy(screen->terminal);
    close(screen->slave);
    close(screen->master);
    close(screen->log.fd);
    free(screen);
    return 0;
}

static bool is_as_before(const struct screen *screen)
{
    struct termios now;

    assert_int_equal(tcgetattr(screen->slave, &now), 0);
    return now.c_iflag == screen->before.c_iflag && now.c_oflag == screen->before.c_oflag &&
           now.c_cflag == screen->before.c_cflag && now.c_lflag == screen->before.c_lflag &&
           memcmp(now.c_cc, screen->before.c_cc, sizeof(now.c_cc)) == 0;
}

static bool is_raw(const struct screen *screen)
{
    struct termios now;

    assert_int_equal(tcgetattr(screen->slave, &now), 0);
    return !(now.c_lflag & (ICANON | ECHO | ISIG | IEXTEN)) && !(now.c_oflag & OPOST) &&
           !(now.c_iflag & (ICRNL | IXON));
}

static void test_raw_and_back(void **state)
{
    struct screen *screen = *state;

    assert_true(terminal_is_ours(screen->terminal));
    assert_true(is_as_before(screen));
    for (unsigned int i = 0; i < 3; i++) {
        terminal_raw(screen->terminal);
        terminal_raw(screen->terminal);
        assert_true(is_raw(screen));
        terminal_restore(screen->terminal);
        terminal_restore(screen->terminal);
        assert_true(is_as_before(screen));
    }
    terminal_restore_any();
    terminal_raw(screen->terminal);
    terminal_destroy(screen->terminal);
    screen->terminal = NULL;
    assert_true(is_as_before(screen));
    terminal_destroy(NULL);
}

static void test_restore_any(void **state)
{
    struct screen *screen = *state;

    terminal_raw(screen->terminal);
    errno = EXDEV;
    terminal_restore_any();
    assert_int_equal(errno, EXDEV);
    assert_true(is_as_before(screen));
}

static void test_not_a_terminal(void **state)
{
    struct screen *screen = *state;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    terminal_destroy(screen->terminal);
    make_terminal(screen, null);
    assert_false(terminal_is_ours(screen->terminal));
    terminal_raw(screen->terminal);
    terminal_restore(screen->terminal);
    terminal_destroy(screen->terminal);
    make_terminal(screen, -1);
    assert_false(terminal_is_ours(screen->terminal));
    terminal_raw(screen->terminal);
    close(null);
}

static void test_log_lines_end_in_cr_lf(void **state)
{
    struct screen *screen = *state;
    int log_fd = screen->log.fd;

    terminal_raw(screen->terminal);
    assert_false(screen->log.raw_terminal); /* the log goes to a file */
    terminal_restore(screen->terminal);
    screen->log.fd = screen->slave;
    terminal_raw(screen->terminal);
    assert_true(screen->log.raw_terminal);
    terminal_restore(screen->terminal);
    assert_false(screen->log.raw_terminal);
    screen->log.fd = log_fd;
}

/* In a child: a session of its own with the slave as controlling terminal. */
static void control_terminal(const struct screen *screen)
{
    const struct rlimit no_core = { 0, 0 };
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    setrlimit(RLIMIT_CORE, &no_core);
    dup2(null, 1);
    dup2(null, 2);
    setsid();
    ioctl(screen->slave, TIOCSCTTY, 0);
}

static int status_of(pid_t child)
{
    int status = 0;

    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    if (WIFSTOPPED(status))
        kill(child, SIGKILL); /* it met SIGTTOU: a failure, but not one to leave behind */
    return status;
}

static void test_fatal_signals(void **state)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };
    struct screen *screen = *state;

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            control_terminal(screen);
            signal(signals[i], SIG_DFL); /* in place of the sanitizers' own */
            terminal_raw(screen->terminal);
            if (!is_raw(screen))
                _exit(0);
            raise(signals[i]);
            _exit(0);
        }
        status = status_of(child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), signals[i]);
        assert_true(is_as_before(screen));
    }
}

/* A real fault; and the handler that was there before is reached. */
static void note_and_exit(int number)
{
    (void)number;
    _exit(42);
}

static void test_real_fault_reaches_the_handler_before(void **state)
{
    struct screen *screen = *state;
    pid_t child = fork();

    if (child == 0) {
        volatile int *unmapped = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        control_terminal(screen);
        signal(SIGSEGV, note_and_exit);
        terminal_raw(screen->terminal);
        *unmapped = 1;
        _exit(0);
    }
    assert_int_equal(WEXITSTATUS(status_of(child)), 42);
    assert_true(is_as_before(screen));
}

static void test_background_job(void **state)
{
    struct screen *screen = *state;
    pid_t child = fork();

    if (child == 0) {
        pid_t job;

        control_terminal(screen);
        job = fork();
        if (job == 0) {
            setpgid(0, 0); /* another job is in the foreground now: its parent's */
            make_terminal(screen, screen->slave);
            terminal_raw(screen->terminal);
            _exit(terminal_is_ours(screen->terminal) || is_raw(screen));
        }
        _exit(status_of(job) != 0);
    }
    assert_int_equal(status_of(child), 0);
}

static void assert_keys(struct screen *screen, const char *typed, const char *passed)
{
    uint8_t out[64];
    size_t length = terminal_filter(screen->terminal, (const uint8_t *)typed, strlen(typed), out);

    assert_int_equal(length, strlen(passed));
    assert_memory_equal(out, passed, length);
}

static void test_escape_key(void **state)
{
    struct screen *screen = *state;

    assert_keys(screen, "plain\r", "plain\r");
    assert_keys(screen, "a\001\001b", "a\001b");
    assert_keys(screen, "a\001ab", "a\001b");
    assert_keys(screen, "\001q", "\001q");
    assert_int_equal(screen->quits, 0);
    assert_keys(screen, "a\001xb", "ab");
    assert_int_equal(screen->quits, 1);
    /* Split over two reads. */
    assert_keys(screen, "a\001", "a");
    assert_keys(screen, "z", "\001z");
    assert_keys(screen, "\001", "");
    assert_keys(screen, "x", "");
    assert_int_equal(screen->quits, 2);
    assert_keys(screen, "x", "x");
    assert_int_equal(screen->quits, 2);
}

static void test_help(void **state)
{
    struct screen *screen = *state;
    char text[1024];
    ssize_t length;

    assert_int_equal(read(screen->master, text, sizeof(text)), -1);
    assert_keys(screen, "\001h", "");
    usleep(20000);
    length = read(screen->master, text, sizeof(text) - 1);
    assert_true(length > 0);
    text[length] = '\0';
    assert_non_null(strstr(text, "Ctrl-A x"));
    assert_keys(screen, "\001?", "");
    usleep(20000);
    assert_true(read(screen->master, text, sizeof(text)) > 0);
}

/* Never more than one byte above what came in, whatever the split. */
static void test_filter_is_bounded(void **state)
{
    struct screen *screen = *state;
    static const uint8_t keys[] = { 1, 'a', 'q', 'x', 0, 0xff };
    uint64_t random = 1234567;
    size_t in_total = 0, out_total = 0;
    uint8_t in[32], out[33];

    for (unsigned int round = 0; round < 20000; round++) {
        size_t length = next_random(&random) % 32 + 1, result;

        for (size_t i = 0; i < length; i++)
            in[i] = keys[next_random(&random) % sizeof(keys)];
        result = terminal_filter(screen->terminal, in, length, out);
        assert_true(result <= length + 1);
        in_total += length;
        out_total += result;
        assert_true(out_total <= in_total);
    }
    assert_true(screen->quits > 1000);
}

#define TERMINAL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TERMINAL_TEST(test_raw_and_back),
        TERMINAL_TEST(test_restore_any),
        TERMINAL_TEST(test_not_a_terminal),
        TERMINAL_TEST(test_log_lines_end_in_cr_lf),
        TERMINAL_TEST(test_fatal_signals),
        TERMINAL_TEST(test_real_fault_reaches_the_handler_before),
        TERMINAL_TEST(test_background_job),
        TERMINAL_TEST(test_escape_key),
        TERMINAL_TEST(test_help),
        TERMINAL_TEST(test_filter_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
