//! A short list that is stored in place, so that a state is one flat value, cheap to copy, compare and hash.

use std::{
    fmt,
    hash::{Hash, Hasher},
    ops::Deref,
};

/// At most `N` items.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Few<T, const N: usize> {
    count: u8,
    // What lies beyond `count` is always the default, so that equal lists are equal values.
    items: [T; N],
}

impl<T: Copy + Default, const N: usize> Default for Few<T, N> {
    fn default() -> Self {
        Self { count: 0, items: [T::default(); N] }
    }
}

impl<T: Copy + Default, const N: usize> Few<T, N> {
    /// # Panics
    /// When the list is full: the configuration is larger than the state was made for.
    pub(crate) fn push(&mut self, item: T) {
        assert!(usize::from(self.count) < N, "the configuration needs lists longer than {N}");
        self.items[usize::from(self.count)] = item;
        self.count += 1;
    }

    pub(crate) fn remove(&mut self, index: usize) -> T {
        let removed = self[index];
        let count = usize::from(self.count);
        self.items.copy_within(index + 1..count, index);
        self.items[count - 1] = T::default();
        self.count -= 1;
        removed
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        *self = self.iter().filter(|item| keep(item)).copied().collect();
    }

    pub(crate) fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.items[..usize::from(self.count)].iter_mut()
    }

    /// Puts lists whose order means nothing into one order, so that states which differ in it alone are one.
    pub(crate) fn sort(&mut self)
    where
        T: Ord,
    {
        self.items[..usize::from(self.count)].sort_unstable();
    }
}

impl<T, const N: usize> Deref for Few<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items[..usize::from(self.count)]
    }
}

impl<T: Copy + Default, const N: usize> FromIterator<T> for Few<T, N> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut few = Self::default();
        items.into_iter().for_each(|item| few.push(item));
        few
    }
}

impl<T: Hash, const N: usize> Hash for Few<T, N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self[..].hash(state);
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a Few<T, N> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for Few<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
