/* SPDX-License-Identifier: BSD-3-Clause
 * test_fork_gate.c - children do not inherit what an engine is in the middle of
 */
#include "unit/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/engine/fork_gate.h"

enum { FORKS = 40, TURN_US = 500 };

static pthread_mutex_t library = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool is_over, is_in;

static void pause_us(long us)
{
	nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

/* Works nearly all of the time, and leaves only to come back. */
static void *busy_engine(void *ctx)
{
	(void)ctx;
	while (!is_over) {
		fork_gate_enter();
		pthread_mutex_lock(&library);
		pause_us(TURN_US);
		pthread_mutex_unlock(&library);
		fork_gate_leave();
	}
	return NULL;
}

static void *stuck_engine(void *ctx)
{
	sigset_t all;

	(void)ctx;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	fork_gate_enter();
	is_in = true;
	while (!is_over)
		pause_us(TURN_US);
	fork_gate_leave();
	return NULL;
}

static int status_of(pid_t pid)
{
	int status = -1;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void no_lock_is_inherited(void **state)
{
	pthread_t engine;

	(void)state;
	fork_gate_watch();
	fork_gate_watch();
	is_over = false;
	assert_int_equal(pthread_create(&engine, NULL, busy_engine, NULL), 0);
	for (int i = 0; i < FORKS; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			/* the child may have an engine of its own */
			fork_gate_enter();
			fork_gate_leave();
			_exit(pthread_mutex_trylock(&library) != 0);
		}
		assert_int_equal(status_of(pid), 0);
	}
	is_over = true;
	pthread_join(engine, NULL);
}

static void fork_in_a_handler(int signo)
{
	pid_t pid = fork();

	(void)signo;
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
}

/* Nor does it wait for ever, in the middle of another fork either. */
static void a_stuck_engine_holds_nobody(void **state)
{
#ifdef __GLIBC__ /* musl's fork() holds a lock while its handlers run */
	const struct itimerval once = {.it_value = {0, 300000}};
#else
	const struct itimerval once = {.it_value = {0, 0}};
#endif
	pthread_t engine;
	pid_t pid;

	(void)state;
	fork_gate_watch();
	is_over = false;
	assert_int_equal(pthread_create(&engine, NULL, stuck_engine, NULL), 0);
	while (!is_in)
		pause_us(TURN_US);
	signal(SIGALRM, fork_in_a_handler);
	setitimer(ITIMER_REAL, &once, NULL);
	pid = fork();
	if (pid == 0)
		_exit(0);
	assert_int_equal(status_of(pid), 0);
	is_over = true;
	pthread_join(engine, NULL);
	fork_gate_enter(); /* it is open again */
	fork_gate_leave();
}

/* -- turns ---------------------------------------------------------------- */

enum { ENGINES = 4, TURNS = 300 };

static int shared; /* nothing but the gate guards it */
static atomic_bool is_broken;
static int turns_of[ENGINES];

static void *take_turns(void *ctx)
{
	int *turns = ctx;

	while (*turns < TURNS) {
		fork_gate_enter();
		if (++shared != 1)
			is_broken = true;
		pause_us(10);
		shared--;
		(*turns)++;
		fork_gate_leave();
	}
	return NULL;
}

/* One at a time, and none is left behind by those that come back at once. */
static void several_engines_take_turns(void **state)
{
	pthread_t engines[ENGINES];

	(void)state;
	for (int i = 0; i < ENGINES; i++)
		assert_int_equal(pthread_create(&engines[i], NULL, take_turns,
						&turns_of[i]), 0);
	pthread_join(engines[0], NULL);
	fork_gate_enter();
	for (int i = 1; i < ENGINES; i++)
		assert_true(turns_of[i] > TURNS / 2);
	fork_gate_leave();
	for (int i = 1; i < ENGINES; i++)
		pthread_join(engines[i], NULL);
	assert_false(is_broken);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(several_engines_take_turns),
		cmocka_unit_test(no_lock_is_inherited),
		cmocka_unit_test(a_stuck_engine_holds_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
