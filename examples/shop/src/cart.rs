//! The cart: a part of the session that is an argument of handlers, as `Bag<Cart>`.

use std::collections::BTreeMap;

use cloakroom::BagContent;
use serde::{Deserialize, Serialize};

/// More of one thing nobody carries home.
pub const MOST: u32 = 20;

/// How many of each product.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)] // so that fields can be added while carts are in use
pub struct Cart {
    items: BTreeMap<String, u32>,
}

impl BagContent for Cart {
    const NAME: &'static str = "cart";
}

impl Cart {
    pub fn add(&mut self, product: &str, number: u32) {
        self.set(product, self.number_of(product) + number.min(MOST));
    }

    /// None takes it out.
    pub fn set(&mut self, product: &str, number: u32) {
        match number.min(MOST) {
            0 => drop(self.items.remove(product)),
            number => drop(self.items.insert(product.to_owned(), number)),
        }
    }

    /// What was paid for goes; what was put in meanwhile stays.
    pub fn take_away(&mut self, paid: &Self) {
        for (product, number) in &paid.items {
            self.set(product, self.number_of(product).saturating_sub(*number));
        }
    }

    pub fn count(&self) -> u32 {
        self.items.values().sum()
    }

    pub fn items(&self) -> impl Iterator<Item = (&str, u32)> {
        self.items.iter().map(|(product, number)| (&**product, *number))
    }

    fn number_of(&self, product: &str) -> u32 {
        self.items.get(product).copied().unwrap_or(0)
    }
}
