//! Conditions made into a boxed Diesel query, by a list of what is allowed.

/// A boxed Diesel query with the conditions of a checked [`List`](crate::List) applied, for the columns that stand here and
/// no others: `narrow!(query, list.conditions, { name: text contacts::name, age: int contacts::age })`. The kinds are `text`,
/// `int` (BigInt), `int32` (Integer), `real` (Double), `bool`, `id` and `time`; each column may be nullable.
#[macro_export]
macro_rules! narrow {
    ($query:expr, $conditions:expr, { $($name:ident: $kind:ident $column:expr),* $(,)? }) => {{
        let mut query = $query;
        for condition in &$conditions {
            query = match condition.column.as_str() {
                $(stringify!($name) => $crate::narrow!(@$kind query, condition, $column),)*
                _ => query,
            };
        }
        query
    }};
    (@text $query:ident, $condition:ident, $column:expr) => {
        if $condition.op == $crate::Op::Contains {
            $query.filter($crate::data::like($column.nullable(), $condition.like()))
        } else {
            $crate::narrow!(@compare $query, $condition, $column, String)
        }
    };
    (@int $query:ident, $condition:ident, $column:expr) => { $crate::narrow!(@compare $query, $condition, $column, i64) };
    (@int32 $query:ident, $condition:ident, $column:expr) => { $crate::narrow!(@compare $query, $condition, $column, i32) };
    (@real $query:ident, $condition:ident, $column:expr) => { $crate::narrow!(@compare $query, $condition, $column, f64) };
    (@bool $query:ident, $condition:ident, $column:expr) => { $crate::narrow!(@compare $query, $condition, $column, bool) };
    (@id $query:ident, $condition:ident, $column:expr) => {
        $crate::narrow!(@compare $query, $condition, $column, $crate::Id)
    };
    (@time $query:ident, $condition:ident, $column:expr) => {
        $crate::narrow!(@compare $query, $condition, $column, $crate::Time)
    };
    (@compare $query:ident, $condition:ident, $column:expr, $type:ty) => {
        match $condition.op {
            $crate::Op::Null if $condition.wants_null() => $query.filter($column.is_null()),
            $crate::Op::Null => $query.filter($column.is_not_null()),
            $crate::Op::In => $query.filter($column.eq_any($condition.read::<$type>())),
            op => match (op, $condition.read::<$type>().pop()) {
                ($crate::Op::Eq, Some(value)) => $query.filter($column.eq(value)),
                ($crate::Op::Ne, Some(value)) => $query.filter($column.ne(value)),
                ($crate::Op::Lt, Some(value)) => $query.filter($column.lt(value)),
                ($crate::Op::Le, Some(value)) => $query.filter($column.le(value)),
                ($crate::Op::Gt, Some(value)) => $query.filter($column.gt(value)),
                ($crate::Op::Ge, Some(value)) => $query.filter($column.ge(value)),
                // Refused when the list was checked.
                _ => $query,
            },
        }
    };
}
