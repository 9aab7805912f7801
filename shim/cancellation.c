/* SPDX-License-Identifier: BSD-3-Clause
 * cancellation.c - a thread is cancelled in its own calls, not in ours
 *
 * What a hook does beside the program's call - a question to the host, a look
 * into a file - has cancellation points in it that the program does not know
 * of: bind() and setsockopt() have none natively, and connect() is to be left
 * without a descriptor of ours open, or a lock held. So our own work is done
 * with cancellation put off, and close(2), which would act on it before it
 * closes anything, is made without it. The call itself stays a cancellation
 * point where it is one, and a wait for a name remains one: who looks it up
 * may have to wait for the node for long. (Cancelled there, the question's
 * descriptor stays open: nothing of ours is on the stack to close it.)
 *
 * A libc without threads has these functions too, which then do nothing.
 */
#include <pthread.h>
#include <sys/syscall.h>

#include "shim/libc_table.h"
#include "shim/shim.h"

int shim_cancel_set(int state)
{
	int was = PTHREAD_CANCEL_ENABLE;

	pthread_setcancelstate(state, &was);
	return was;
}

int shim_cancel_put_off(void)
{
	return shim_cancel_set(PTHREAD_CANCEL_DISABLE);
}

void shim_close(int fd)
{
	libc.syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}
