/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A mutex of the kernel for src/zephyr/mutex.rs, in storage that Rust may move while nobody uses it.
 * The kernel's has a list with pointers to itself, so it is made anew where it is found at a new
 * place: nobody holds it or waits for it then.
 */

#include <zephyr/kernel.h>

/* src/zephyr/mutex.rs has the same number. All zeros at first. */
#define STORAGE_WORDS 12

struct movable_mutex {
	struct k_mutex mutex;
	struct movable_mutex *place;
};

BUILD_ASSERT(sizeof(struct movable_mutex) <= STORAGE_WORDS * sizeof(uintptr_t));
BUILD_ASSERT(__alignof__(struct movable_mutex) <= __alignof__(uintptr_t));

static struct k_spinlock settling;

void rust_websocket_mutex_lock(struct movable_mutex *movable)
{
	K_SPINLOCK(&settling) {
		if (movable->place != movable) {
			(void)k_mutex_init(&movable->mutex);
			movable->place = movable;
		}
	}

	(void)k_mutex_lock(&movable->mutex, K_FOREVER);

	/* The kernel lets a thread in twice; Rust must never give it the value twice. */
	if (movable->mutex.lock_count > 1) {
		k_panic();
	}
}

void rust_websocket_mutex_unlock(struct movable_mutex *movable)
{
	(void)k_mutex_unlock(&movable->mutex);
}
