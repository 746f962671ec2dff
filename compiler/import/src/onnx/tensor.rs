//! Tensors of the reference evaluator: shape and elements, floats as f64 rounded to their type after each op.

use super::dtype::DType;

/// Most elements of a tensor that is computed here.
pub const MAX_ELEMENTS: usize = 1 << 27;

/// What is wrong with a computation, without its place.
pub type Why<T> = std::result::Result<T, String>;

/// Elements in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Of floating point types.
    Real(Vec<f64>),
    /// Of whole number types; booleans are 0 and 1.
    Whole(Vec<i128>),
}

/// A tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    dtype: DType,
    shape: Vec<usize>,
    data: Data,
}

/// Elements of a shape, if that many may be computed.
pub fn count(shape: &[usize]) -> Why<usize> {
    let product = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
    match product {
        Some(n) if n <= MAX_ELEMENTS => Ok(n),
        _ => Err(format!("shape {shape:?} has more than {MAX_ELEMENTS} elements, too many to compute here")),
    }
}

/// Row-major steps of a shape, in elements.
pub fn strides(shape: &[usize]) -> Vec<isize> {
    let mut steps = vec![1isize; shape.len()];
    for i in (1..shape.len()).rev() {
        steps[i - 1] = steps[i].wrapping_mul(shape[i] as isize);
    }
    steps
}

/// Where each element of `shape` lies when axis `i` steps by `steps[i]` from `offset`.
pub fn walk(shape: &[usize], steps: &[isize], offset: isize) -> Why<Vec<usize>> {
    let total = count(shape)?;
    let mut places = Vec::with_capacity(total);
    let mut index = vec![0usize; shape.len()];
    let mut at = offset;
    for _ in 0..total {
        places.push(at as usize);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += steps[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= steps[axis] * shape[axis] as isize;
            index[axis] = 0;
        }
    }
    Ok(places)
}

/// The shape that all broadcast to, NumPy's rule.
pub fn broadcast(shapes: &[&[usize]]) -> Why<Vec<usize>> {
    let rank = shapes.iter().map(|s| s.len()).max().unwrap_or(0);
    let mut out = vec![1; rank];
    for shape in shapes {
        let lead = rank - shape.len();
        for (i, &n) in shape.iter().enumerate() {
            match (out[lead + i], n) {
                (_, 1) => {}
                (1, n) => out[lead + i] = n,
                (a, b) if a == b => {}
                _ => return Err(format!("shapes {shapes:?} do not broadcast")),
            }
        }
    }
    Ok(out)
}

/// Where the elements of a tensor broadcast to `to` come from.
pub fn spread(from: &[usize], to: &[usize]) -> Why<Vec<usize>> {
    if broadcast(&[from, to])? != to {
        return Err(format!("shape {from:?} does not broadcast to {to:?}"));
    }
    let own = strides(from);
    let lead = to.len() - from.len();
    let steps: Vec<isize> =
        (0..to.len()).map(|i| if i < lead || from[i - lead] == 1 { 0 } else { own[i - lead] }).collect();
    walk(to, &steps, 0)
}

/// An axis counted from the end if negative.
pub fn axis(axis: i64, rank: usize) -> Why<usize> {
    let counted = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    let found = counted.and_then(|a| usize::try_from(a).ok()).filter(|a| *a < rank);
    found.ok_or_else(|| format!("axis {axis} of a tensor of rank {rank}"))
}

impl Tensor {
    /// Floats, rounded to `dtype`.
    pub fn real(dtype: DType, shape: Vec<usize>, values: Vec<f64>) -> Why<Tensor> {
        let data = Data::Real(values.into_iter().map(|x| dtype.round(x)).collect());
        Tensor::new(dtype, shape, data)
    }

    /// Whole numbers, wrapped to `dtype`.
    pub fn whole(dtype: DType, shape: Vec<usize>, values: Vec<i128>) -> Why<Tensor> {
        let data = Data::Whole(values.into_iter().map(|n| dtype.wrap(n)).collect());
        Tensor::new(dtype, shape, data)
    }

    /// Elements of the type and number that `dtype` and `shape` say.
    pub fn new(dtype: DType, shape: Vec<usize>, data: Data) -> Why<Tensor> {
        let (len, real) = match &data {
            Data::Real(v) => (v.len(), true),
            Data::Whole(v) => (v.len(), false),
        };
        if len != count(&shape)? || real != dtype.is_real() {
            return Err(format!("{len} elements for shape {shape:?} of {dtype:?}"));
        }
        Ok(Tensor { dtype, shape, data })
    }

    /// A 1-D tensor of I64.
    pub fn ints(values: impl IntoIterator<Item = i64>) -> Why<Tensor> {
        let values: Vec<i128> = values.into_iter().map(i128::from).collect();
        Tensor::whole(DType::I64, vec![values.len()], values)
    }

    /// Its element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Its extents.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its number of axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Its elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match &self.data {
            Data::Real(v) => v.len(),
            Data::Whole(v) => v.len(),
        }
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Floats.
    pub fn reals(&self) -> Why<&[f64]> {
        match &self.data {
            Data::Real(v) => Ok(v),
            Data::Whole(_) => Err(format!("{:?} where floats are needed", self.dtype)),
        }
    }

    /// Whole numbers.
    pub fn wholes(&self) -> Why<&[i128]> {
        match &self.data {
            Data::Whole(v) => Ok(v),
            Data::Real(_) => Err(format!("{:?} where whole numbers are needed", self.dtype)),
        }
    }

    /// Elements of any numeric type, as f64.
    pub fn to_reals(&self) -> Vec<f64> {
        match &self.data {
            Data::Real(v) => v.clone(),
            Data::Whole(v) => v.iter().map(|n| *n as f64).collect(),
        }
    }

    /// Whole numbers that are axes, extents or indices.
    pub fn indices(&self) -> Why<Vec<i64>> {
        self.wholes()?.iter().map(|n| i64::try_from(*n).map_err(|_| format!("{n} is no index"))).collect()
    }

    /// The only element, a whole number.
    pub fn one_index(&self) -> Why<i64> {
        match self.indices()?[..] {
            [n] => Ok(n),
            _ => Err(format!("shape {:?} where one number is needed", self.shape)),
        }
    }

    /// The only element.
    pub fn one_real(&self) -> Why<f64> {
        match self.to_reals()[..] {
            [x] => Ok(x),
            _ => Err(format!("shape {:?} where one number is needed", self.shape)),
        }
    }

    /// The elements at `places`, as `shape`. Places must be inside.
    pub fn take(&self, shape: Vec<usize>, places: &[usize]) -> Why<Tensor> {
        let missing = || "an element out of range".to_string();
        let data = match &self.data {
            Data::Real(v) => {
                Data::Real(places.iter().map(|p| v.get(*p).copied()).collect::<Option<_>>().ok_or_else(missing)?)
            }
            Data::Whole(v) => {
                Data::Whole(places.iter().map(|p| v.get(*p).copied()).collect::<Option<_>>().ok_or_else(missing)?)
            }
        };
        Tensor::new(self.dtype, shape, data)
    }

    /// The same elements under another shape of as many.
    pub fn reshaped(&self, shape: Vec<usize>) -> Why<Tensor> {
        if count(&shape)? != self.len() {
            return Err(format!("shape {:?} can't become {shape:?}", self.shape));
        }
        Ok(Tensor { dtype: self.dtype, shape, data: self.data.clone() })
    }

    /// Broadcast to a shape.
    pub fn expanded(&self, to: &[usize]) -> Why<Tensor> {
        if self.shape == to {
            return Ok(self.clone());
        }
        self.take(to.to_vec(), &spread(&self.shape, to)?)
    }

    /// Axes in another order, which must be a permutation.
    pub fn transposed(&self, order: &[usize]) -> Why<Tensor> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if sorted != (0..self.rank()).collect::<Vec<_>>() {
            return Err(format!("perm {order:?} is no order of {} axes", self.rank()));
        }
        let own = strides(&self.shape);
        let shape: Vec<usize> = order.iter().map(|i| self.shape[*i]).collect();
        let steps: Vec<isize> = order.iter().map(|i| own[*i]).collect();
        let places = walk(&shape, &steps, 0)?;
        self.take(shape, &places)
    }

    /// A whole number `n` or float as this tensor's type holds it.
    pub fn filled_like(dtype: DType, shape: Vec<usize>, value: f64) -> Why<Tensor> {
        let n = count(&shape)?;
        if dtype.is_real() {
            Tensor::real(dtype, shape, vec![value; n])
        } else {
            Tensor::whole(dtype, shape, vec![value as i128; n])
        }
    }
}
